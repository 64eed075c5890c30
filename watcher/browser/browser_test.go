package browser

import (
	"net"
	"net/netip"
	"testing"

	"porttray/watcher"
	"porttray/watcher/owner"
)

func TestURL(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		want  string
	}{
		{[]string{"127.0.0.1"}, "http://localhost:3000"},
		{[]string{"127.0.0.1", "::1"}, "http://localhost:3000"},
		{[]string{"0.0.0.0"}, "http://localhost:3000"},
		{[]string{"::"}, "http://localhost:3000"},
		{[]string{"127.0.0.2", "::"}, "http://localhost:3000"},
		{[]string{"127.0.0.1", "127.0.0.2"}, "http://localhost:3000"},
		{[]string{"::1"}, "http://[::1]:3000"},
		{[]string{"127.0.0.2"}, "http://127.0.0.2:3000"},
		{[]string{"192.0.2.7"}, "http://192.0.2.7:3000"},
		{[]string{"127.0.0.2", "192.0.2.7"}, "http://127.0.0.2:3000"},
	} {
		l := watcher.Listener{Port: 3000}
		for _, a := range c.addrs {
			l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
		}
		if got := URL(l, "http"); got != c.want {
			t.Errorf("%v: got %s, want %s", c.addrs, got, c.want)
		}
		if got := Address(l); "http://"+got != c.want {
			t.Errorf("%v: the address is %s, want that of %s", c.addrs, got, c.want)
		}
	}
}

// TestSchemeAsksNoDatabase has a database whose log a TLS handshake would spoil: nobody connects to it.
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
	db := watcher.Listener{Port: at.Port(), Addrs: []netip.Addr{at.Addr()}}
	db.Facts.Tool = owner.Tool{Name: "PostgreSQL", Kind: owner.Server}
	if scheme := Scheme(t.Context(), db); scheme != "http" {
		t.Errorf("it is %s", scheme)
	}
	l.Close()
	if <-connected {
		t.Error("somebody connected")
	}
}
