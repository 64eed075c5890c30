package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const (
	idA = "e0aeb9eb9d1efa94772f6cd26586f97df5b52e149fd864fe27b4ca1423af2807"
	idB = "8e2a5bc599606a9f9cf5117b47f2c249919df464ad87acbecf1989242d6b9f69"
)

// one is the smallest answer with a published port.
const one = `[{"Id":"` + idA +
	`","Names":["/web"],"Image":"shop","Ports":[{"IP":"127.0.0.1","PublicPort":8080,"Type":"tcp"}]}]`

// none is the smallest answer with a container but no published port.
const none = `[{"Id":"` + idA + `","Names":["/web"],"Image":"shop","Ports":[]}]`

// A fake is an engine behind a pipe in memory. It gets each request with its connection. The connection closes when it
// returns.
type fake func(conn net.Conn, r *http.Request)

// says returns a fake that answers every request with the same bytes.
func says(raw string) fake {
	return func(conn net.Conn, _ *http.Request) { io.WriteString(conn, raw) }
}

// ok returns a complete answer with this body.
func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body),
		body)
}

// status returns a complete answer with a status and an engine's message.
func status(code int, message string) string {
	body := fmt.Sprintf(`{"message":%q}`, message)
	return fmt.Sprintf("HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%s", code, len(body), body)
}

// silent is a fake that never answers. It keeps the connection until the other side closes it.
func silent(conn net.Conn, _ *http.Request) { io.Copy(io.Discard, conn) }

// fakes returns Engines with fakes behind their sockets.
func fakes(all map[string]fake) *Engines {
	e := &Engines{Sockets: []string{}}
	for socket := range all {
		e.Sockets = append(e.Sockets, socket)
	}
	slices.Sort(e.Sockets)
	e.dial = func(_ context.Context, socket string) (net.Conn, error) {
		engine, ok := all[socket]
		if !ok {
			return nil, fs.ErrNotExist
		}
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if r, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
				engine(server, r)
			}
		}()
		return client, nil
	}
	return e
}

// refuses returns Engines without any working connection.
func refuses(err error) *Engines {
	return &Engines{
		Sockets: []string{"/run/docker-a.sock"},
		dial:    func(context.Context, string) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: err} },
	}
}

// TestListFailed has all kinds of wrong answers. The reason is in plain words, List ignores the rest of the answer, and
// it takes at most a second.
func TestListFailed(t *testing.T) {
	const senseless, mute, denied = "Docker does not answer as expected", "Docker does not answer",
		"Docker may not be asked by this user"
	endless := func(conn net.Conn, _ *http.Request) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n")
		for {
			if _, err := io.WriteString(conn, "4\r\n    \r\n"); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
	late := func(conn net.Conn, r *http.Request) {
		conn.SetDeadline(time.Now().Add(2 * time.Second))
		silent(conn, r) // until the other side closes
		conn.SetDeadline(time.Time{})
		says(ok(one))(conn, r)
	}
	slow := func(conn net.Conn, _ *http.Request) {
		for _, b := range []byte(ok(one)) {
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	tests := []struct {
		name    string
		engine  fake
		want    string
		is      error
		atOnce  bool // List fails at once, not after a second
		refusal error
	}{
		{name: "hangs", engine: silent, want: mute},
		{name: "answers late", engine: late, want: mute},
		{name: "answers slowly", engine: slow, want: mute},
		{name: "never ends its answer", engine: endless, want: mute},
		{name: "hangs up", engine: func(net.Conn, *http.Request) {}, want: mute, atOnce: true},
		{name: "hangs up in its answer", engine: says("HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + one[:40]),
			want: mute, atOnce: true},
		{name: "speaks something else", engine: says("SSH-2.0-OpenSSH_9.2\r\n\r\n"), want: mute, atOnce: true},
		{name: "long header", engine: says("HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 1<<20)), want: mute,
			atOnce: true},
		{name: "long answer", engine: says("HTTP/1.1 200 OK\r\n\r\n[" + strings.Repeat(" ", 9<<20)), want: senseless,
			atOnce: true},
		{name: "no JSON", engine: says(ok("<!DOCTYPE html><html>")), want: senseless, atOnce: true},
		{name: "another type", engine: says(ok(`{"containers":[]}`)), want: senseless, atOnce: true},
		{name: "another type within", engine: says(ok(`[{"Id":7}]`)), want: senseless, atOnce: true},
		{name: "redirects",
			engine: says("HTTP/1.1 307 x\r\nLocation: http://localhost/elsewhere\r\nContent-Length: 0\r\n\r\n"),
			want:   senseless, atOnce: true},
		{name: "500", engine: says(status(500, "out of order")), want: senseless, atOnce: true},
		{name: "403", engine: says(status(403, "no")), want: denied, is: fs.ErrPermission, atOnce: true},
		{name: "401", engine: says(status(401, "no")), want: denied, is: fs.ErrPermission, atOnce: true},
		{name: "permission", refusal: syscall.EACCES, want: denied, is: fs.ErrPermission, atOnce: true},
		{name: "nobody listens", refusal: syscall.ECONNREFUSED, want: "Docker is not running", is: ErrNotRunning,
			atOnce: true},
		{name: "no socket", refusal: syscall.ENOENT, want: "Docker is not running", is: ErrNotRunning, atOnce: true},
		{name: "backlog full", refusal: syscall.EAGAIN, want: mute, atOnce: true},
		{name: "another user's", refusal: errForeign, want: "Docker belongs to another user, so it is not asked",
			is: errForeign, atOnce: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := refuses(tt.refusal)
				if tt.engine != nil {
					e = fakes(map[string]fake{"/run/docker-a.sock": tt.engine})
				}
				start := time.Now()
				got := e.List(t.Context(), true)
				if len(got.Published) > 0 || len(got.Answered) > 0 || len(got.Failed) != 1 {
					t.Fatalf("got %+v, want one failure", got)
				}
				failure := got.Failed[0]
				if failure.Endpoint != "/run/docker-a.sock" || failure.Err.Error() != tt.want || tt.is != nil &&
					!errors.Is(failure.Err, tt.is) {
					t.Errorf("got %+v, want %q", failure, tt.want)
				}
				want := answerWithin
				if tt.atOnce {
					want = 0
				}
				if took := time.Since(start); took != want {
					t.Errorf("it took %v, want %v", took, want)
				}
				time.Sleep(time.Second) // so that the fakes notice
			})
		})
	}
}

func TestListSeveral(t *testing.T) {
	two := `[{"Id":"` + idB +
		`","Names":["/db"],"Ports":[{"IP":"::","PublicPort":8080,"Type":"tcp"},{"IP":"127.0.0.1","PublicPort":80,"Type":"tcp"}]}]`
	synctest.Test(t, func(t *testing.T) {
		e := fakes(map[string]fake{
			"/a/docker.sock": says(ok(one)),
			"/b/docker.sock": says(ok(one)), // the same engine at another socket
			"/c/podman.sock": says(ok(two)),
			"/d/podman.sock": says(ok("[]")),
			"/e/docker.sock": silent,
			"/f/other.sock":  says("what?\r\n\r\n"),
		})
		start := time.Now()
		got := e.List(t.Context(), true)
		if took := time.Since(start); took != answerWithin {
			t.Errorf("it took %v, want all to be asked at once", took)
		}
		web := Container{ID: idA, Name: "web", Image: "shop", Endpoint: "/a/docker.sock"}
		db := Container{ID: idB, Name: "db", Endpoint: "/c/podman.sock"}
		want := []Published{
			{netip.MustParseAddr("127.0.0.1"), 80, 0, db},
			{netip.MustParseAddr("127.0.0.1"), 8080, 0, web},
			{netip.MustParseAddr("::"), 8080, 0, db},
		}
		if !slices.Equal(got.Published, want) {
			t.Errorf("got %+v\nwant %+v", got.Published, want)
		}
		if want := []string{"/a/docker.sock", "/b/docker.sock", "/c/podman.sock",
			"/d/podman.sock"}; !slices.Equal(got.Answered, want) {
			t.Errorf("answered: %q, want %q", got.Answered, want)
		}
		if len(got.Failed) != 2 || got.Failed[0].Endpoint != "/e/docker.sock" ||
			got.Failed[1].Err.Error() != "the container engine does not answer" {
			t.Errorf("failed: %v", got.Failed)
		}
	})
}

// TestListSpares has engines that a request would start. List asks them only if the caller wants that.
func TestListSpares(t *testing.T) {
	for _, wake := range []bool{false, true} {
		asked := 0
		counts := func(conn net.Conn, r *http.Request) {
			asked++
			says(ok("[]"))(conn, r)
		}
		got := fakes(map[string]fake{"/run/podman/podman.sock": counts}).List(t.Context(), wake)
		var spared []string
		if !wake {
			spared = []string{"/run/podman/podman.sock"}
		}
		if (asked > 0) != wake || (len(got.Answered) > 0) != wake || !slices.Equal(got.Spared, spared) {
			t.Errorf("wake %v: asked %d times, got %+v", wake, asked, got)
		}
	}
}

func TestListErr(t *testing.T) {
	off, broken := Failure{"/a", explain("/a/docker.sock", ErrNotRunning)},
		Failure{"/b", explain("/b/podman.sock", fs.ErrPermission)}
	tests := []struct {
		name string
		l    List
		want string
	}{
		{"nothing found", List{}, "no container engine is running"},
		{"not running", List{Failed: []Failure{off}}, "no container engine is running"},
		{"answered", List{Answered: []string{"/c"}}, ""},
		{"answered, another is not running", List{Answered: []string{"/c"}, Failed: []Failure{off}}, ""},
		{"answered, another did not", List{Answered: []string{"/c"}, Failed: []Failure{off, broken}},
			"Podman may not be asked by this user"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.l.Err(); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestListEnds cancels the context while an engine is silent.
func TestListEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		got := fakes(map[string]fake{"/docker.sock": silent}).List(ctx, true)
		if took := time.Since(start); len(got.Failed) != 1 || took != 100*time.Millisecond {
			t.Errorf("got %+v after %v", got, took)
		}
	})
}

// TestRequest checks the request to an engine.
func TestRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Setenv("HTTP_PROXY", "http://192.0.2.1:1") // List must ignore the proxy
		var asked *http.Request
		e := fakes(map[string]fake{"/docker.sock": func(conn net.Conn, r *http.Request) {
			asked = r
			io.WriteString(conn, ok("[]"))
		}})
		if got := e.List(t.Context(), true); got.Err() != nil {
			t.Fatal(got.Err())
		}
		if asked.Method != "GET" || asked.RequestURI != "/containers/json" || asked.Host != "localhost" ||
			!asked.Close {
			t.Errorf("got %s %s for %s, close %v", asked.Method, asked.RequestURI, asked.Host, asked.Close)
		}
	})
}

func BenchmarkSockets(b *testing.B) {
	b.Setenv("HOME", b.TempDir())
	b.ReportAllocs()
	var e Engines
	for b.Loop() {
		e.sockets()
	}
}

func BenchmarkDecode(b *testing.B) {
	answer, err := os.ReadFile("testdata/docker-20.10-proxy.json")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := decode(strings.NewReader(string(answer)), "/docker.sock"); err != nil {
			b.Fatal(err)
		}
	}
}
