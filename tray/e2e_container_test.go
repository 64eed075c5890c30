//go:build linux

package tray_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// An engine is a fake container engine with the API of Docker. The test adds and removes its containers.
type engine struct {
	d      *testDesktop
	socket string
	server *http.Server

	mu         sync.Mutex
	containers []container // running ones
	lists      int         // number of list calls
	stops      []string    // IDs of the containers in stop calls
	followers  map[chan struct{}]bool
}

// A container publishes a port on 127.0.0.1.
type container struct {
	id, name, image  string
	project, service string // of Compose
	port             uint16
	onStop           func() // called on a stop request
}

// startEngine starts an engine at the socket that DOCKER_HOST names for the programs of this session.
func (d *testDesktop) startEngine() *engine {
	d.t.Helper()
	e := &engine{d: d, socket: d.path("docker.sock"), followers: map[chan struct{}]bool{}}
	d.setenv("DOCKER_HOST", "unix://"+e.socket)
	d.t.Cleanup(func() { e.end() })
	e.begin()
	return e
}

// begin starts the engine.
func (e *engine) begin() {
	e.d.t.Helper()
	l, err := net.Listen("unix", e.socket)
	if err != nil {
		e.d.t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", e.list)
	mux.HandleFunc("GET /events", e.follow)
	mux.HandleFunc("POST /containers/{id}/stop", e.stop)
	e.server = &http.Server{Handler: mux}
	go e.server.Serve(l) // until it is closed
}

// end stops the engine and closes its connections.
func (e *engine) end() { e.server.Close() }

func (e *engine) list(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
	type port struct {
		IP                      string
		PrivatePort, PublicPort uint16
		Type                    string
	}
	type entry struct {
		Id     string
		Names  []string
		Image  string
		State  string
		Labels map[string]string
		Ports  []port
	}
	all := []entry{}
	for _, c := range e.containers {
		all = append(all, entry{c.id, []string{"/" + c.name}, c.image, "running",
			map[string]string{"com.docker.compose.project": c.project, "com.docker.compose.service": c.service},
			[]port{{"127.0.0.1", 80, c.port, "tcp"}}})
	}
	json.NewEncoder(w).Encode(all)
}

// follow serves the stream of events. Nobody here reads their content.
func (e *engine) follow(w http.ResponseWriter, r *http.Request) {
	events := make(chan struct{}, 1)
	e.mu.Lock()
	e.followers[events] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.followers, events)
	}()
	w.WriteHeader(http.StatusOK)
	for {
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-events:
			fmt.Fprintln(w, `{"Type":"container"}`)
		}
	}
}

// tell sends an event. The caller holds mu.
func (e *engine) tell() {
	for events := range e.followers {
		select {
		case events <- struct{}{}:
		default: // one is waiting already
		}
	}
}

// add starts a container.
func (e *engine) add(c container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.containers = append(e.containers, c)
	e.tell()
}

// remove ends a container. It returns false if no such container runs.
func (e *engine) remove(id string) (container, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.containers, func(c container) bool { return c.id == id })
	if i < 0 {
		return container{}, false
	}
	c := e.containers[i]
	e.containers = slices.Delete(e.containers, i, i+1)
	e.tell()
	return c, true
}

func (e *engine) stop(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.stops = append(e.stops, r.PathValue("id"))
	e.mu.Unlock()
	c, ok := e.remove(r.PathValue("id"))
	if !ok {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if c.onStop != nil {
		c.onStop()
	}
	w.WriteHeader(http.StatusNoContent)
}

// asked returns the number of list calls, and the IDs in stop calls.
func (e *engine) asked() (lists int, stops []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lists, slices.Clone(e.stops)
}

func TestContainer(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	e := d.startEngine()
	proxy := d.startVictim(victimOptions{name: "docker-proxy"}, "127.0.0.1:0")
	c := container{id: strings.Repeat("0123456789abcdef", 4), name: "shop-web-1", image: "nginx:alpine",
		project: "shop", service: "web",
		port: proxy.ports[0], onStop: func() { proxy.signal(os.Kill); <-proxy.done }}
	e.add(c)
	s := d.startTray()

	want := fmt.Sprintf("%d  nginx · web (container)", c.port)
	menu := s.item.waitFor("row of the container", patience, func(menu *node) bool {
		row := menu.row(c.port)
		return row.find("Stop container shop-web-1") != nil
	})
	row := menu.row(c.port)
	if row.label != want {
		t.Errorf("the row is labelled %q, want %q", row.label, want)
	}
	for _, label := range []string{"Container shop-web-1, image nginx:alpine", "Service web of compose project shop"} {
		if row.find(label) == nil {
			t.Errorf("no %q in\n%v", label, row)
		}
	}
	if row.find("Kill") != nil {
		t.Errorf("the container can be killed:\n%v", row)
	}
	// A port can look like a container's until its owner is known. On a busy machine that takes a while.
	for tries := 3; ; tries-- {
		before, _ := e.asked()
		other := d.startVictim(victimOptions{name: "other"}, "127.0.0.1:0")
		s.row(other, other.ports[0])
		now, _ := e.asked()
		if now == before {
			break
		}
		if tries == 1 {
			t.Fatalf("the engine was asked %d times because a process opened a port", now-before)
		}
	}

	s.item.click(row.find("Stop container shop-web-1"))
	s.hear(fmt.Sprintf("Port %d is free", c.port), "container shop-web-1 stopped")
	s.noRow(c.port)
	if _, stops := e.asked(); len(stops) != 1 || stops[0] != c.id {
		t.Errorf("the engine was told to stop %q, want %q", stops, c.id)
	}
	if heard := s.heard(c.port); len(heard) != 1 {
		t.Errorf("the notifications about it are %q", heard)
	}
}
