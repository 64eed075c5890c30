package engine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestStop asks an engine to stop a container that publishes 127.0.0.1:8080, if the engine's list says so.
func TestStop(t *testing.T) {
	const socket = "/run/docker-a.sock"
	web := Published{netip.MustParseAddr("127.0.0.1"), 8080, 0,
		Container{ID: idA, Name: "web", Image: "shop", Endpoint: socket}}
	renamed, otherPort, otherID, noID, hosted := web, web, web, web, web
	hosted.Port = 0
	renamed.Container.Name, otherPort.Port = "api", 8081
	otherID.Container.ID, noID.Container.ID = idB, ""
	elsewhere := web
	elsewhere.Container.Endpoint = "/run/docker-b.sock"

	const grace = 10 * time.Second
	tests := []struct {
		name   string
		p      Published
		list   string // the answer to both list requests
		stop   string
		want   string
		is     error
		posted bool
		after  time.Duration
	}{
		{name: "stops", p: web, list: ok(one), stop: status(204, ""), posted: true, after: grace},
		{name: "has stopped by itself", p: web, list: ok(one), stop: status(304, ""), posted: true, after: grace},
		{name: "renamed", p: renamed, list: ok(one), stop: status(204, ""), posted: true, after: grace},
		{name: "has gone since", p: web, list: ok(one), stop: status(404, "No such container"), want: ErrGone.Error(),
			is: ErrGone, posted: true, after: grace},
		{name: "nothing published", p: web, list: ok("[]"), want: ErrGone.Error(), is: ErrGone},
		{name: "another port", p: otherPort, list: ok(one), want: ErrGone.Error(), is: ErrGone},
		{name: "another container", p: otherID, list: ok(one), want: ErrGone.Error(), is: ErrGone},
		{name: "publishes nothing", p: hosted, list: ok(none), stop: status(204, ""), posted: true, after: grace},
		{name: "publishes something", p: hosted, list: ok(one), want: ErrGone.Error(), is: ErrGone},
		{name: "publishes nothing any more", p: web, list: ok(none), want: ErrGone.Error(), is: ErrGone},
		{name: "does not run any more", p: hosted, list: ok("[]"), want: ErrGone.Error(), is: ErrGone},
		{name: "no ID", p: noID, list: ok(one), want: ErrGone.Error(), is: ErrGone},
		{name: "no engine", p: elsewhere, want: "Docker is not running", is: ErrNotRunning},
		{name: "broken list", p: web, list: ok("{}"), want: "Docker does not answer as expected"},
		{name: "mute", p: web, want: "Docker does not answer", after: answerWithin},
		{
			name: "not allowed", p: web, list: ok(one), stop: status(403, "authorization denied by plugin"),
			want: "Docker does not let this user stop it", is: fs.ErrPermission, posted: true, after: grace,
		},
		{name: "cannot", p: web, list: ok(one), stop: status(500, "did not receive an exit event"),
			want: "Docker could not stop it", posted: true, after: grace},
		{name: "hangs up", p: web, list: ok(one), stop: "HTTP", want: "Docker does not answer", posted: true,
			after: grace},
		{
			name: "does not end", p: web, list: ok(one),
			want: "Docker was asked to stop it and has not done so yet", is: context.DeadlineExceeded, posted: true,
			after: time.Minute,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var posted atomic.Bool
				e := fakes(map[string]fake{socket: func(conn net.Conn, r *http.Request) {
					answer := tt.list
					if r.Method == http.MethodPost {
						posted.Store(r.RequestURI == "/containers/"+idA+"/stop")
						answer = tt.stop
						time.Sleep(grace)
					}
					if answer == "" {
						silent(conn, r)
					}
					io.WriteString(conn, answer)
				}})
				start := time.Now()
				err := e.stop(ctx, tt.p.Container, tt.p.Port)
				if took := time.Since(start); took != tt.after {
					t.Errorf("it took %v, want %v", took, tt.after)
				}
				if posted.Load() != tt.posted {
					t.Errorf("asked to stop: %v, want %v", posted.Load(), tt.posted)
				}
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || err.Error() != tt.want) ||
					tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				time.Sleep(grace) // so that the fake notices
			})
		})
	}
}

// TestStatusError checks that the error quotes the engine's message, up to the limit.
func TestStatusError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := fakes(map[string]fake{"/docker.sock": says(status(500, strings.Repeat("x", 1000)))})
		err := errors.Unwrap(e.List(t.Context(), true).Failed[0].Err)
		if want := `status 500 "` + strings.Repeat("x", maxText) + `": not a list of containers`; err == nil ||
			err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	})
}
