//go:build linux

package tray_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
)

// An engine is a container engine with one container, whose forwarder is a victim. It speaks what Docker does.
type engine struct {
	id   string
	port uint16

	mu       sync.Mutex
	stopped  bool
	lists    int // how often it was asked for its containers
	stops    []string
	onStop   func()
	listener net.Listener
}

// startEngine starts an engine at the socket that DOCKER_HOST names for the programs of this session.
func (d *desktop) startEngine() *engine {
	d.t.Helper()
	socket := d.path("docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		d.t.Fatal(err)
	}
	e := &engine{id: strings.Repeat("0123456789abcdef", 4), listener: l}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", e.list)
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("POST /containers/{id}/stop", e.stop)
	server := &http.Server{Handler: mux}
	go server.Serve(l) // until it is closed
	d.t.Cleanup(func() { server.Close() })
	d.setenv("DOCKER_HOST", "unix://"+socket)
	return e
}

func (e *engine) list(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lists++
	if e.stopped {
		fmt.Fprint(w, "[]")
		return
	}
	fmt.Fprintf(w, `[{"Id":%q,"Names":["/shop-web-1"],"Image":"nginx:alpine","State":"running",
		"Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"web"},
		"Ports":[{"IP":"127.0.0.1","PrivatePort":80,"PublicPort":%d,"Type":"tcp"}]}]`, e.id, e.port)
}

func (e *engine) stop(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stops = append(e.stops, r.PathValue("id"))
	e.stopped = true
	e.onStop()
	w.WriteHeader(http.StatusNoContent)
}

// asked returns how often the engine was asked for its containers, and what it was told to stop.
func (e *engine) asked() (lists int, stops []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lists, e.stops
}

func TestContainer(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	e := d.startEngine()
	proxy := d.startVictim(victimOptions{name: "docker-proxy"}, "127.0.0.1:0")
	e.port = proxy.ports[0]
	e.onStop = func() { proxy.signal(os.Kill); <-proxy.done }
	s := d.startTray()

	want := fmt.Sprintf("%d  nginx · web (container)", e.port)
	menu := s.item.waitFor("row of the container", patience, func(menu *node) bool {
		row := menu.row(e.port)
		return row.find("Stop container shop-web-1") != nil
	})
	row := menu.row(e.port)
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
	before, _ := e.asked()
	other := d.startVictim(victimOptions{name: "other"}, "127.0.0.1:0")
	s.row(other, other.ports[0])
	if now, _ := e.asked(); now != before {
		t.Errorf("the engine was asked %d times because a process opened a port", now-before)
	}

	s.item.click(row.find("Stop container shop-web-1"))
	s.hear(fmt.Sprintf("Port %d is free", e.port), "container shop-web-1 stopped")
	s.noRow(e.port)
	if _, stops := e.asked(); len(stops) != 1 || stops[0] != e.id {
		t.Errorf("the engine was told to stop %q, want %q", stops, e.id)
	}
	if heard := s.heard(e.port); len(heard) != 1 {
		t.Errorf("the notifications about it are %q", heard)
	}
}
