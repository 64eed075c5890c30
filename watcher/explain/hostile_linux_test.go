package explain

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"
)

// needLoopback skips a test where the loopback interface is down, except under CI: nothing can be connected there.
func needLoopback(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	switch {
	case err == nil:
		conn.Close()
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip("loopback is down: ", err)
	}
}

// TestSpeakToHostileServer talks to servers that send without end, send nothing, or redirect elsewhere. The probe ends
// within the time for three talks, reads little, and follows no redirect.
func TestSpeakToHostileServer(t *testing.T) {
	needLoopback(t)
	const (
		memory   = 16 << 20
		patience = 20 * time.Second // for a busy machine; three talks take at most 3 s
	)
	reply := func(begin, on string) func(net.Conn) {
		return func(c net.Conn) {
			buf := make([]byte, 1<<10)
			if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "GET ") {
				return // at once, so that a TLS handshake fails fast
			}
			io.WriteString(c, begin)
			for text := strings.Repeat(on, 1+(64<<10)/max(len(on), 1)); on != ""; {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			}
		}
	}
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0") // the target of a redirect
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	visited := make(chan struct{})
	go func() {
		if c, err := elsewhere.Accept(); err == nil {
			c.Close()
			close(visited)
		}
	}()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, test := range map[string]struct {
		speak func(net.Conn)
		tls   bool
		want  Page // the beginning of each text
	}{
		"a page of gigabytes": {speak: reply(ok+"\r\n<title>a</title>", "b"),
			want: Page{Status: "200 OK", Title: "a"}},
		"the same by TLS": {speak: reply(ok+"\r\n<title>a</title>", "b"), tls: true,
			want: Page{Status: "200 OK", Title: "a"}},
		"a title without end": {speak: reply(ok+"\r\n<title>", "<title>"), want: Page{Status: "200 OK"}},
		"chunks without end": {speak: reply(ok+"Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n"),
			want: Page{Status: "200 OK"}},
		"a length that is a lie": {speak: reply(ok+"Content-Length: 1000000000000\r\n\r\n", ""),
			want: Page{Status: "200 OK"}},
		"headers without end":        {speak: reply(ok, "A: b\r\n")},
		"a header without end":       {speak: reply(ok+"A: ", "b")},
		"nothing after the question": {speak: func(c net.Conn) { io.Copy(io.Discard, c) }},
		"a banner without end":       {speak: func(c net.Conn) { reply("", "x")(c) }},
		"leads to a file": {speak: reply("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", ""),
			want: Page{Status: "302 Found", Location: "file:///etc/passwd"}},
		"leads to another server": {speak: reply(
			"HTTP/1.1 302 Found\r\nLocation: http://"+elsewhere.Addr().String()+"/\r\n\r\n", ""),
			want: Page{Status: "302 Found", Location: "http://"}},
		"what a terminal understands": {speak: reply(
			ok+"Server: \u202e]8;;http://evil\u2066\r\n\r\n<title>\x1b[2J&#27;[2J\u009b31m&#x202e;x</title>", ""),
			want: Page{Status: "200 OK", Server: "]8;;http://evil", Title: "[2J [2J 31mx"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if test.tls {
				l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate()}})
			}
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						test.speak(c)
					}()
				}
			}()
			at := netip.MustParseAddrPort(l.Addr().String())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			p := probeAt(t.Context(), at)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > memory || took > patience {
				t.Errorf("it took %d bytes and %v", n, took)
			}
			page := Page{}
			if p.HTTP != nil {
				page = *p.HTTP
			}
			if page.Status != test.want.Status || page.Title != test.want.Title ||
				!strings.HasPrefix(page.Location, test.want.Location) || page.Server != test.want.Server {
				t.Errorf("got %+v, want %+v", page, test.want)
			}
			if strings.ContainsFunc(page.Status+page.Title+page.Location+page.Server+p.Banner,
				func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
				t.Errorf("got %+q, %+q", page, p.Banner)
			}
		})
	}
	select {
	case <-visited:
		t.Error("it went where a server pointed")
	default:
	}
}
