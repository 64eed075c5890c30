//go:build unix

package engine

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// An endless reader repeats a text forever.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for n := 0; ; {
		m := copy(p[n:], e.text[e.at:])
		n, e.at = n+m, (e.at+m)%len(e.text)
		if n == len(p) {
			return n, nil
		}
	}
}

// TestListIsBounded has engines with endless answers, behind a real socket. List uses bounded memory, ends at its
// deadline, and closes the connection.
func TestListIsBounded(t *testing.T) {
	const (
		header   = "HTTP/1.1 200 OK\r\n\r\n"
		memory   = 48 << 20 // total allocation, not all at once; an answer has 8 MB at most
		patience = 10       // seconds, on a busy machine; the limit is answerWithin
	)
	a := `{"Id":"` + idA + `","Names":["/web"],"Ports":[{"PublicPort":8080,"Type":"tcp"}]},`
	for name, answer := range map[string]func() io.Reader{
		"a header that never ends": func() io.Reader {
			return io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nA: "), &endless{text: "a"})
		},
		"headers that never end": func() io.Reader {
			return io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\n"), &endless{text: "A: b\r\n"})
		},
		"early answers that never end": func() io.Reader { return &endless{text: "HTTP/1.1 103 x\r\n\r\n"} },
		"space that never ends": func() io.Reader {
			return io.MultiReader(strings.NewReader(header),
				&endless{text: " "})
		},
		"a text that never ends": func() io.Reader {
			return io.MultiReader(strings.NewReader(header+`[{"Id":"`),
				&endless{text: "a"})
		},
		"lists in lists": func() io.Reader {
			return io.MultiReader(strings.NewReader(header),
				&endless{text: "["})
		},
		"objects in objects": func() io.Reader {
			return io.MultiReader(strings.NewReader(header+"["),
				&endless{text: `{"Ports":`})
		},
		"containers without end": func() io.Reader {
			return io.MultiReader(strings.NewReader(header+"["),
				&endless{text: a})
		},
		"a million containers": func() io.Reader {
			return strings.NewReader(header + "[" +
				strings.Repeat("{},", 1e6) + "{}]")
		},
		"a million ports": func() io.Reader {
			return strings.NewReader(header + `[{"Id":"` + idA + `","Ports":[` + strings.Repeat("{},", 1e6) + "{}]}]")
		},
		"more than it says": func() io.Reader {
			return io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
				&endless{text: "x"})
		},
		"chunks without end": func() io.Reader {
			return io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
				&endless{text: "1\r\n[\r\n"})
		},
		"an error that never ends": func() io.Reader {
			return io.MultiReader(strings.NewReader("HTTP/1.1 500 x\r\n\r\n{\"message\":\""), &endless{text: "a"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "engine") // t.TempDir is too long for a socket path
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			l, err := net.Listen("unix", filepath.Join(dir, "docker.sock"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			left := make(chan struct{})
			go func() {
				defer close(left)
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					io.Copy(conn, struct{ io.Reader }{answer()}) // until the other side closes
				}
			}()
			e := Engines{Sockets: []string{filepath.Join(dir, "docker.sock")}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			got := e.List(t.Context(), true)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > memory || took > patience*time.Second ||
				len(got.Published) > maxPublished {
				t.Errorf("it took %d bytes and %v, and gave %d ports: %v", n, took, len(got.Published), got.Err())
			} else {
				t.Logf("%d kB, %v: %v", n>>10, took, got.Err())
			}
			<-left
		})
	}
}
