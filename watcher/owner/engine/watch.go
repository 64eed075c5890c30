package engine

import (
	"context"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"
)

const (
	// eventDelay is the time from an engine's event to the send. Docker reports a container's end up to some hundred
	// milliseconds before it updates its list. Events are also read no faster, so that a flood of them costs nothing.
	eventDelay = 250 * time.Millisecond
	// searchInterval is the time between searches for engines that now run, and the maximum wait before reconnecting.
	searchInterval = 30 * time.Second
	// headersWithin is how long an engine may take to begin its stream of events.
	headersWithin = 10 * time.Second
)

// events requests the events that can change a published port or its container's name. Joining or leaving a network can
// move a running container's ports. Pausing a container or changing its limits cannot.
var events = "/events?filters=" + url.QueryEscape(
	`{"type":["container","network"],"event":["start","die","stop","rename","connect","disconnect"]}`)

// Watch sends on changed whenever the published ports may have changed, and blocks until ctx is done. changed should
// have room for one value. Watch follows the events of running engines. It may merge several events into one send, and
// drops a send if there is no room. It also searches every 30 seconds for engines that have started.
//
// The first contact with a Docker engine on this computer counts as a change, because earlier events are unknown. For
// an engine in a virtual machine it does not. Such an engine may be about to sleep, and asking it for its ports would
// wake it up. Its ports appear here as listeners anyway. Watch does not follow Podman, because a connection would keep
// Podman's service running for ever.
func (e *Engines) Watch(ctx context.Context, changed chan<- struct{}) {
	var followers sync.WaitGroup
	defer followers.Wait()
	followed := make(map[string]bool)
	search := time.NewTicker(searchInterval)
	defer search.Stop()
	for {
		for _, socket := range e.sockets() {
			if !followed[socket] {
				followed[socket] = true
				followers.Go(func() { e.follow(ctx, socket, changed) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-search.C:
		}
	}
}

// follow listens to one engine while it runs. When the stream ends, it retries soon, then at growing intervals.
func (e *Engines) follow(ctx context.Context, socket string, changed chan<- struct{}) {
	if engineName(socket) == "Podman" {
		return
	}
	for wait := time.Second; ; wait = min(2*wait, searchInterval) {
		began := time.Now()
		if !dormant(socket) {
			e.listen(ctx, socket, changed)
		}
		if time.Since(began) > searchInterval {
			wait = time.Second
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

// listen sends on changed for each event of one engine, until the stream ends. It ignores the events' content.
func (e *Engines) listen(ctx context.Context, socket string, changed chan<- struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(headersWithin, cancel)
	resp, err := e.do(ctx, socket, http.MethodGet, events)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if !late.Stop() || resp.StatusCode != http.StatusOK {
		return
	}
	if !inVM(runtime.GOOS, socket) {
		notify(changed)
	}
	began, buf := time.Now(), make([]byte, 16<<10)
	for {
		if n, err := resp.Body.Read(buf); n == 0 && err != nil {
			if ctx.Err() == nil && time.Since(began) >= eventDelay {
				notify(changed) // the engine may have ended
			}
			return
		}
		if !sleep(ctx, eventDelay) {
			return
		}
		notify(changed)
	}
}

// notify sends on changed, unless an earlier value is still unreceived.
func notify(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// sleep waits for d. It reports false if ctx was done before.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// inVM reports whether the engine at socket runs in a virtual machine, perhaps a stopped one.
func inVM(goos, socket string) bool {
	return goos != "linux" || strings.Contains(socket, "/.docker/desktop/")
}
