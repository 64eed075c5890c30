//go:build unix

package engine

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// shortDir makes a directory for sockets. A socket path can have only about a hundred bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// listen opens a socket at a path. It makes the directories.
func listen(t *testing.T, socket string) net.Listener {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socket), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestDistinct returns each existing socket once, in the order of the list.
func TestDistinct(t *testing.T) {
	dir := shortDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	listen(t, at("a.sock"))
	listen(t, at("b.sock"))
	write(t, at("file.sock"), "x")
	for link, to := range map[string]string{"a-link.sock": "a.sock", "b-link.sock": at("b.sock"),
		"loose.sock": "nothing.sock", "loop.sock": "loop.sock"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(at("a.sock"), at("a-hard.sock")); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, name := range []string{"b-link", "none", "a-hard", "a", "file", "a-link", "loose", "loop", "b"} {
		asked = append(asked, at(name+".sock"))
	}
	if got, want := distinct(append(asked, dir)), []string{at("b.sock"), at("a-hard.sock")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := distinct(nil); got != nil {
		t.Errorf("no containers: got %q", got)
	}
}

// TestReal finds an engine by its socket, lists its containers and stops one.
func TestReal(t *testing.T) {
	home := shortDir(t)
	alone(t, home)
	socket := filepath.Join(home, "engine.sock")
	t.Setenv("DOCKER_HOST", "unix://"+socket)
	stopped := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(one)) })
	mux.HandleFunc("POST /containers/{id}/stop", func(w http.ResponseWriter, r *http.Request) {
		stopped <- r.PathValue("id")
		w.WriteHeader(http.StatusNoContent)
	})
	s := httptest.NewUnstartedServer(mux)
	s.Listener.Close()
	s.Listener = listen(t, socket)
	s.Start()
	defer s.Close()

	var e Engines
	l := e.List(t.Context(), true)
	want := Published{netip.MustParseAddr("127.0.0.1"), 8080, 0,
		Container{ID: idA, Name: "web", Image: "shop", Endpoint: socket}}
	if !slices.Contains(l.Published, want) || len(l.Answered) == 0 || l.Answered[0] != socket {
		t.Fatalf("got %+v, want %+v", l, want)
	}
	if err := Stop(t.Context(), want.Container, want.Port); err != nil {
		t.Fatal(err)
	}
	if got := <-stopped; got != idA {
		t.Errorf("stopped %q", got)
	}
	s.Close()
	if err := Stop(t.Context(), want.Container, want.Port); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without the engine: %v", err)
	}
}

// TestForeign has a socket of another user.
func TestForeign(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a socket away")
	}
	socket := filepath.Join(shortDir(t), "docker.sock")
	listen(t, socket)
	if err := os.Chown(socket, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if conn, err := dialSocket(t.Context(), socket); !errors.Is(err, errForeign) {
		t.Errorf("got %v, %v", conn, err)
	}
}

// TestReadFile shows that readFile does not block on a FIFO.
func TestReadFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "config.json")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Skip(err)
	}
	if data, err := readFile(name); err == nil {
		t.Errorf("got %q", data)
	}
}

// TestWatchNew opens an engine's socket after Watch began.
func TestWatchNew(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no sockets in files, or a connection is no change")
	}
	home := shortDir(t)
	alone(t, home)
	socket := filepath.Join(home, ".colima/default/docker.sock")
	synctest.Test(t, func(t *testing.T) {
		e := fakes(map[string]fake{socket: telling(5 * time.Second)})
		e.Sockets = nil
		go func() {
			time.Sleep(20 * time.Second)
			listen(t, socket)
		}()
		want := []time.Duration{30 * time.Second, 35250 * time.Millisecond}
		if got := watchFor(t, e, time.Minute); !slices.Equal(got, want) {
			t.Errorf("sent at %v, want %v", got, want)
		}
	})
}
