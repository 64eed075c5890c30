package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// eventsOf returns recorded events of Docker 20.10 about one container, as one stream.
func eventsOf(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/docker-20.10-events.json")
	if err != nil {
		t.Fatal(err)
	}
	var stream strings.Builder
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, fmt.Appendf(nil, `"name":%q`, name)) {
			stream.Write(line)
		}
	}
	return stream.String()
}

func TestReadEnd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		want    End
		says    string
		crashed bool
	}{
		{"exit3", End{Status: 3, Asked: No}, "exited with status 3", true},
		{"rm1", End{Status: 1, Asked: No}, "exited with status 1", true},
		{"oom", End{Status: 137, OutOfMemory: true, Asked: No}, "killed by SIGKILL: out of memory", true},
		{"forced", End{Status: 137, Asked: Yes}, "stopped", false},
		{"stopped", End{Status: 2, Asked: Yes}, "stopped", false}, // a Go program, first in its PID namespace
		{"killed", End{Status: 137, Asked: Yes}, "stopped", false},
		{"removed", End{Status: 137, Asked: Yes}, "stopped", false},
		{"restarted", End{Status: 1, Asked: Yes}, "stopped", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := readEnd(strings.NewReader(eventsOf(t, tt.name)), time.Time{}, true)
			if !ok || got != tt.want || got.String() != tt.says || got.Crashed() != tt.crashed {
				t.Errorf("got %+v %v, %q, crashed %v; want %+v, %q, crashed %v", got, ok, got, got.Crashed(), tt.want,
					tt.says, tt.crashed)
			}
		})
	}
}

func TestEnd(t *testing.T) {
	for _, tt := range []struct {
		end     End
		says    string
		crashed bool
	}{
		{End{}, "stopped", false},
		{End{Asked: No}, "stopped", false},
		{End{Status: 1}, "exited with status 1", false}, // somebody may have stopped it
		{End{Status: 143, Asked: No}, "exited with status 143", false},
		{End{Status: 137, Asked: No}, "exited with status 137", true},
		{End{Status: 1, OutOfMemory: true}, "exited with status 1: out of memory", true},
	} {
		if tt.end.String() != tt.says || tt.end.Crashed() != tt.crashed {
			t.Errorf("%+v: %q, crashed %v; want %q, %v", tt.end, tt.end, tt.end.Crashed(), tt.says, tt.crashed)
		}
	}
}

// TestReadEndOf reads streams written by hand. An event is "second action detail".
func TestReadEndOf(t *testing.T) {
	for _, tt := range []struct {
		name, events string
		tells, ok    bool
		want         End
	}{
		{name: "nothing", tells: true},
		{name: "an end before that moment", events: "5 die 1", tells: true},
		{name: "an earlier end, and another one", events: "5 kill 15,6 die 1,7 start,11 die 2", tells: true, ok: true,
			want: End{Status: 2, Asked: No}},
		{name: "told to reload", events: "5 kill 1,12 die 1", tells: true, ok: true, want: End{Status: 1, Asked: No}},
		{name: "told to end", events: "8 kill 15,12 die 1", tells: true, ok: true, want: End{Status: 1, Asked: Yes}},
		{name: "stopped, and then out of memory", events: "8 kill 15,9 oom,12 die 137", tells: true, ok: true,
			want: End{Status: 137, Asked: Yes}},
		{name: "out of memory in an earlier life", events: "2 oom,3 die 137,4 start,12 die 1", tells: true, ok: true,
			want: End{Status: 1, Asked: No}},
		{name: "an engine that does not tell who asked", events: "12 die 1", ok: true, want: End{Status: 1}},
		{name: "no status", events: "12 die x", tells: true},
	} {
		var stream strings.Builder
		for e := range strings.SplitSeq(tt.events, ",") {
			var second int64
			var action, detail string
			fmt.Sscan(e, &second, &action, &detail)
			fmt.Fprintf(&stream, `{"Action":%q,"timeNano":%d,"Actor":{"Attributes":{"exitCode":%q,"signal":%q}}}`+"\n",
				action, second*1e9, detail, detail)
		}
		if got, ok := readEnd(strings.NewReader(stream.String()), time.Unix(10, 0), tt.tells); ok != tt.ok ||
			got != tt.want {
			t.Errorf("%s: got %+v %v, want %+v %v", tt.name, got, ok, tt.want, tt.ok)
		}
	}
}

// TestEnded asks an engine about a container that has just ended.
func TestEnded(t *testing.T) {
	const ms = time.Millisecond
	die := func(status string) string {
		return fmt.Sprintf(`{"Action":"die","timeNano":%d,"Actor":{"Attributes":{"exitCode":%q}}}`+"\n",
			time.Now().UnixNano(), status)
	}
	state := func(says string) string {
		now, _ := json.Marshal(time.Now())
		return ok(`{"State":{` + says + `,"FinishedAt":` + string(now) + `}}`)
	}
	for _, tt := range []struct {
		name   string
		pod    bool
		events func(conn net.Conn, r *http.Request)
		state  func() string
		want   End
		ok     bool
		after  time.Duration
	}{
		{
			name: "the end is told a moment later",
			events: func(c net.Conn, _ *http.Request) {
				io.WriteString(c, stream)
				time.Sleep(300 * ms)
				io.WriteString(c, die("3"))
			},
			state: func() string { return state(`"ExitCode":3`) },
			want:  End{Status: 3, Asked: No}, ok: true, after: 300 * ms,
		}, {
			name:   "removed",
			events: func(c net.Conn, _ *http.Request) { io.WriteString(c, stream+die("1")) },
			state:  func() string { return status(404, "No such container") },
			want:   End{Status: 1, Asked: No}, ok: true,
		}, {
			name:   "only the state knows that it ran out of memory",
			events: func(c net.Conn, _ *http.Request) { io.WriteString(c, stream+die("137")) },
			state:  func() string { return state(`"ExitCode":137,"OOMKilled":true`) },
			want:   End{Status: 137, OutOfMemory: true, Asked: No}, ok: true,
		}, {
			name:   "runs again",
			events: func(c net.Conn, _ *http.Request) { io.WriteString(c, stream+die("1")) },
			state:  func() string { return state(`"Running":true,"ExitCode":0,"OOMKilled":true`) },
			want:   End{Status: 1, Asked: No}, ok: true,
		}, {
			name:   "no events",
			events: func(c net.Conn, _ *http.Request) { io.WriteString(c, status(403, "no")) },
			state:  func() string { return state(`"ExitCode":3`) },
			want:   End{Status: 3}, ok: true, after: stateAfter,
		}, {
			name:   "it goes on",
			events: silent,
			state:  func() string { return state(`"Running":true`) },
			after:  endWithin + stateAfter,
		}, {name: "a pod", pod: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const socket = "/run/docker-a.sock"
				e := fakes(map[string]fake{socket: func(conn net.Conn, r *http.Request) {
					if strings.HasPrefix(r.RequestURI, "/events?") {
						tt.events(conn, r)
					} else if r.RequestURI == "/containers/"+idA+"/json" {
						io.WriteString(conn, tt.state())
					}
				}})
				start := time.Now()
				got, ok := e.Ended(t.Context(), Container{ID: idA, Pod: tt.pod, Endpoint: socket},
					start.Add(-time.Second))
				if got != tt.want || ok != tt.ok || time.Since(start) != tt.after {
					t.Errorf("got %+v %v after %v, want %+v %v after %v", got, ok, time.Since(start), tt.want, tt.ok,
						tt.after)
				}
			})
		})
	}
}

// TestEndRecordedState reads the recorded Docker 20.10 state of a container that ran out of memory.
func TestEndRecordedState(t *testing.T) {
	body, err := os.ReadFile("testdata/docker-20.10-oom.json")
	if err != nil {
		t.Fatal(err)
	}
	e := fakes(map[string]fake{"/run/docker-a.sock": says(ok(string(body)))})
	got, known := e.endByState(t.Context(), Container{ID: idA, Endpoint: "/run/docker-a.sock"}, time.Time{})
	if want := (End{Status: 137, OutOfMemory: true}); got != want || !known {
		t.Errorf("got %+v %v, want %+v", got, known, want)
	}
}
