package browser

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"porttray/watcher/server"
)

// TestOpenNothingElse passes addresses of no server on this computer. Open runs no program for them.
func TestOpenNothingElse(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the program that would be run is Linux'")
	}
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	script := "#!/bin/sh\nprintf '%s\\n' \"$*\" >>" + run + "\n"
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, url := range []string{
		"", "-h", "localhost:3000", "//localhost:3000", "javascript:alert(1)",
		"javascript://localhost:3000/%0aalert(1)", "file:///etc/passwd",
		"file://localhost:3000/etc/passwd", "data:text/html,x", "ftp://localhost:3000",
		"http:localhost:3000", "http://", "http://localhost", "http://user:pw@localhost:3000",
		"http://localhost:3000@evil.example", "http://localhost:3000@evil.example:80/", "http://evil.example:3000",
		"http://localhost.evil.example:3000", "http://localhost:3000\n--new-window", "HTTP+x://localhost:3000",
	} {
		const want = "is not the address of a server on this computer"
		if err := Open(t.Context(), url); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
	if what, err := os.ReadFile(run); err == nil {
		t.Errorf("opened were\n%s", what)
	}
	want := []string{"http://localhost:3000", "https://[::1]:3000/admin?x=1#y", "http://127.0.0.2:3000/@evil.example"}
	for _, url := range want {
		if err := Open(t.Context(), url); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
	if what, err := os.ReadFile(run); string(what) != strings.Join(want, "\n")+"\n" {
		t.Errorf("opened were\n%s%v", what, err)
	}
}

// record returns a TLS record of a type (RFC 8446, section 5.1).
func record(kind byte, text []byte) []byte {
	head := []byte{kind, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(text)))
	return append(head, text...)
}

// TestSchemeOfHostileServer asks servers that send endless answers or none. Scheme must return soon and read little.
func TestSchemeOfHostileServer(t *testing.T) {
	const (
		alert, handshake = 21, 22
		memory           = 8 << 20
		patience         = 10 * time.Second // for a busy machine; Scheme gives up after 300 ms
	)
	endless := func(text []byte) func(io.Writer) {
		return func(w io.Writer) {
			for {
				if _, err := w.Write(text); err != nil {
					return
				}
			}
		}
	}
	slowly := func(w io.Writer) {
		for {
			if _, err := w.Write([]byte{handshake}); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	many := record(handshake, make([]byte, 16<<10))
	huge := record(handshake, []byte{2, 0xff, 0xff, 0xff}) // a message of 16 MB
	for name, speak := range map[string]func(io.Writer){
		"nothing": func(io.Writer) {},
		"HTTP without end": endless([]byte("HTTP/1.1 302 x\r\nLocation: file:///etc/passwd\r\n\r\n" +
			strings.Repeat("a", 1<<16))),
		"a byte now and then":                    slowly,
		"records without end":                    endless(many),
		"a message of 16 MB":                     func(w io.Writer) { w.Write(huge); endless(many)(w) },
		"warnings without end":                   endless(record(alert, []byte{1, 90})),
		"empty records without end":              endless(record(handshake, nil)),
		"the beginning of a record, and no more": func(w io.Writer) { w.Write(many[:100]) },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				speak(conn)
				io.Copy(io.Discard, conn) // until the other side hangs up
				conn.Close()
			}()
			at := l.Addr().(*net.TCPAddr).AddrPort()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			scheme := Scheme(context.Background(), server.Listener{Port: at.Port(), Addrs: []netip.Addr{at.Addr()}})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > memory || took > patience || scheme != "http" {
				t.Errorf("it is %s, after %v and with %d bytes", scheme, took, n)
			}
		})
	}
}
