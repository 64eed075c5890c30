package browser

import (
	"net"
	"net/netip"
	"testing"

	"porttray/watcher/facts"
	"porttray/watcher/server"
)

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		want  string
	}{
		{[]string{"127.0.0.1"}, "localhost:3000"},
		{[]string{"127.0.0.1", "::1"}, "localhost:3000"},
		{[]string{"0.0.0.0"}, "localhost:3000"},
		{[]string{"::"}, "localhost:3000"},
		{[]string{"127.0.0.2", "::"}, "localhost:3000"},
		{[]string{"127.0.0.1", "127.0.0.2"}, "localhost:3000"},
		{[]string{"::1"}, "[::1]:3000"},
		{[]string{"127.0.0.2"}, "127.0.0.2:3000"},
		{[]string{"192.0.2.7"}, "192.0.2.7:3000"},
		{[]string{"127.0.0.2", "192.0.2.7"}, "127.0.0.2:3000"},
	} {
		l := server.Listener{Port: 3000}
		for _, a := range c.addrs {
			l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
		}
		if got := Address(l); got != c.want {
			t.Errorf("%v: got %s, want %s", c.addrs, got, c.want)
		}
	}
}

// TestSchemeAsksNoDatabase checks that Scheme does not connect to a database. A TLS handshake would leave an error in
// its log.
func TestSchemeAsksNoDatabase(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	connected := make(chan bool, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			conn.Close()
		}
		connected <- err == nil
	}()
	db := server.Listener{Port: at.Port(), Addrs: []netip.Addr{at.Addr()}}
	db.Facts.Tool = facts.Tool{Name: "PostgreSQL", Kind: facts.Server}
	if scheme := Scheme(t.Context(), db); scheme != "http" {
		t.Errorf("it is %s", scheme)
	}
	l.Close()
	if <-connected {
		t.Error("somebody connected")
	}
}
