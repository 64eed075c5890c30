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
	// settle is the time from an engine's event to the word of it. Docker tells that a container died up to some hundred
	// milliseconds before it takes it off its list. Events are read no faster than this, so that a flood of them costs nothing.
	eventDelay = 250 * time.Millisecond
	// again is the time after which an engine that does not run is looked for again, and the longest between two connections.
	searchInterval = 30 * time.Second
	// headersWithin is the time that an engine has for beginning its stream of events.
	headersWithin = 10 * time.Second
)

// events asks for those events that can change a published port or its container's name. A network that a running container
// joins or leaves can move its ports; pausing one, or changing its limits, cannot.
var events = "/events?filters=" + url.QueryEscape(
	`{"type":["container","network"],"event":["start","die","stop","rename","connect","disconnect"]}`)

// Watch sends on changed, which should have room for one, whenever what the engines publish may have changed, and blocks until
// ctx is done. It listens to the events of the engines that run, several events may become one send, and a send that finds no
// room is dropped. Otherwise it is silent, and looks every 30 seconds whether another engine runs by now.
//
// That a Docker engine on this computer begins to tell its events counts as a change, since what happened before is not known.
// An engine in a virtual machine makes no such start: it may only pass by on the way to sleep, its ports are listeners that
// appear here anyway, and asking what it publishes would wake it up. Podman is not listened to: the service that would tell its
// events ends when nobody talks to it, and listening would keep it running for ever.
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

// follow listens to one engine whenever it runs. When the stream ends it tries again soon, then ever more rarely.
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

// listen sends on changed for the events of one engine, until the stream ends. What the events say does not matter.
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

// tell sends on changed, unless an earlier send has not been received yet: one stands for both.
func notify(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// sleep waits for d and reports whether ctx was still not done then.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// sleeps reports whether the engine at socket works in a virtual machine, which may be asleep while its socket is there.
func inVM(goos, socket string) bool {
	return goos != "linux" || strings.Contains(socket, "/.docker/desktop/")
}
