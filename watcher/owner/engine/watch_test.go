package engine

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const stream = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

// telling returns a fake that sends an event at each of these times after the start of its stream. Then the stream
// stays open.
func telling(at ...time.Duration) fake {
	return func(conn net.Conn, r *http.Request) {
		start := time.Now()
		io.WriteString(conn, stream)
		for _, d := range at {
			time.Sleep(d - time.Since(start))
			io.WriteString(conn, `{"status":"start","Type":"container"}`+"\n")
		}
		silent(conn, r)
	}
}

// watchFor runs Watch for a while and returns the times of its signals.
func watchFor(t *testing.T, e *Engines, d time.Duration) []time.Duration {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	start, changed, ended := time.Now(), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		e.Watch(ctx, changed)
	}()
	var sent []time.Duration
	for {
		select {
		case <-changed:
			sent = append(sent, time.Since(start))
		case <-ended:
			if time.Since(start) != d {
				t.Errorf("Watch ended after %v, want it to end with its context after %v", time.Since(start), d)
			}
			return sent
		}
	}
}

// TestWatch has an engine that sends events. synctest checks that all goroutines end.
func TestWatch(t *testing.T) {
	if inVM(runtime.GOOS, "/run/docker.sock") {
		t.Skip("a connection is no change on this system")
	}
	const ms = time.Millisecond
	flood := func(conn net.Conn, _ *http.Request) {
		io.WriteString(conn, stream)
		for {
			if _, err := conn.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	}
	var everyPause []time.Duration // Watch reads a flood once per pause
	for d := time.Duration(0); d < 1900*ms; d += eventDelay {
		everyPause = append(everyPause, d)
	}
	tests := []struct {
		name   string
		engine fake
		span   time.Duration
		want   []time.Duration
	}{
		{"silent stream", telling(), time.Hour, []time.Duration{0}},
		{"one event", telling(5000 * ms), time.Hour, []time.Duration{0, 5250 * ms}},
		{"one at once", telling(0), time.Hour, []time.Duration{0, 250 * ms}},
		{"two together", telling(5000*ms, 5000*ms), time.Hour, []time.Duration{0, 5250 * ms, 5500 * ms}},
		{"several in a row", telling(5000*ms, 5050*ms, 5100*ms, 5150*ms), time.Hour,
			[]time.Duration{0, 5250 * ms, 5500 * ms, 5750 * ms, 6000 * ms}},
		{"a flood", flood, 1900 * ms, everyPause},
		{"no stream", says(status(500, "")), time.Hour, nil},
		{"not allowed", says(status(403, "")), time.Hour, nil},
		{"says nothing", silent, time.Hour, nil},
		{"hangs up", func(net.Conn, *http.Request) {}, time.Hour, nil},
		{"ends at once", says(stream), time.Minute,
			[]time.Duration{0, 1000 * ms, 3000 * ms, 7000 * ms, 15 * time.Second, 31 * time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := watchFor(t, fakes(map[string]fake{"/run/docker-a.sock": tt.engine}), tt.span)
				if !slices.Equal(got, tt.want) {
					t.Errorf("sent at %v\nwant %v", got, tt.want)
				}
			})
		})
	}
}

// TestWatchTries has failing connections, and checks when Watch tries again.
func TestWatchTries(t *testing.T) {
	seconds := func(all ...int) []time.Duration {
		var tries []time.Duration
		for _, s := range all {
			tries = append(tries, time.Duration(s)*time.Second)
		}
		return tries
	}
	never := func(context.Context) (net.Conn, error) { return nil, fs.ErrNotExist }
	lasting := func(d time.Duration) func(context.Context) (net.Conn, error) {
		return func(ctx context.Context) (net.Conn, error) {
			return fakes(map[string]fake{"": func(conn net.Conn, _ *http.Request) {
				io.WriteString(conn, stream)
				conn.SetDeadline(time.Now().Add(d))
				io.Copy(io.Discard, conn)
			}}).dial(ctx, "")
		}
	}
	hanging := func(ctx context.Context) (net.Conn, error) {
		return fakes(map[string]fake{"": silent}).dial(ctx, "")
	}
	tests := []struct {
		name, socket string
		dial         func(context.Context) (net.Conn, error)
		want         []time.Duration // the times of the attempts in two minutes
	}{
		{"not there", "/run/docker-a.sock", never, seconds(0, 1, 3, 7, 15, 31, 61, 91)},
		{"stream of five seconds", "/run/docker-a.sock", lasting(5 * time.Second), seconds(0, 6, 13, 22, 35, 56, 91)},
		{"stream of forty seconds", "/run/docker-a.sock", lasting(40 * time.Second), seconds(0, 41, 82)},
		{"no header", "/run/docker-a.sock", hanging, seconds(0, 11, 23, 37, 55, 81)},
		{"Podman", "/run/podman/podman.sock", lasting(time.Hour), nil},
		{"Podman's pipe", `\\.\pipe\podman-machine-default`, lasting(time.Hour), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var tries []time.Duration
				e := &Engines{Sockets: []string{tt.socket},
					dial: func(ctx context.Context, _ string) (net.Conn, error) {
						tries = append(tries, time.Since(start))
						return tt.dial(ctx)
					}}
				watchFor(t, e, 2*time.Minute)
				if !slices.Equal(tries, tt.want) {
					t.Errorf("tried at %v\nwant %v", tries, tt.want)
				}
			})
		})
	}
}

// TestWatchUnheard has no receiver.
func TestWatchUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		e := fakes(map[string]fake{"/run/docker-a.sock": telling(time.Second, 2*time.Second)})
		e.Watch(ctx, make(chan struct{}))
		full := make(chan struct{}, 1)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		e.Watch(ctx, full)
		if len(full) != 1 {
			t.Errorf("%d sends wait, want one for all", len(full))
		}
	})
}

func TestSleeps(t *testing.T) {
	tests := []struct {
		goos, socket string
		want         bool
	}{
		{"linux", "/run/docker.sock", false},
		{"linux", "/home/ann/.docker/desktop/docker.sock", true},
		{"linux", "/home/ann/.docker/run/docker.sock", false},
		{"darwin", "/Users/ann/.docker/run/docker.sock", true},
		{"windows", `\\.\pipe\docker_engine`, true},
	}
	for _, tt := range tests {
		if got := inVM(tt.goos, tt.socket); got != tt.want {
			t.Errorf("inVM(%q, %q) = %v", tt.goos, tt.socket, got)
		}
	}
}
