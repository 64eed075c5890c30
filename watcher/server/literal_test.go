package server_test

import (
	"net/netip"
	"testing"

	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

func TestLiteral(t *testing.T) {
	at := func(pid int32, addrs ...string) server.Listener {
		l := servertest.Serves(5173, pid)
		l.Addrs = nil
		for _, a := range addrs {
			l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
		}
		return l
	}
	for _, c := range []struct{ name, mine, others, want string }{
		{"one for each family", "127.0.0.1", "::1", "127.0.0.1"},
		{"the other way round", "::1", "127.0.0.1", "::1"},
		{"all interfaces, and the other on loopback", "0.0.0.0", "127.0.0.1", "127.0.0.2"},
		{"loopback, and the other on all interfaces", "127.0.0.1", "0.0.0.0", "127.0.0.1"},
		{"all of IPv6, and the other on IPv4", "::", "127.0.0.1", "::1"},
		{"both on the same address", "127.0.0.1", "127.0.0.1", ""},
		{"both on all interfaces", "0.0.0.0", "0.0.0.0", ""},
		{"a further loopback address", "127.0.0.3", "127.0.0.1", "127.0.0.3"},
		{"a network address only", "192.0.2.7", "127.0.0.1", "192.0.2.7"},
	} {
		a, b := at(1, c.mine), at(2, c.others)
		servers := []server.Server{{Listener: a}, {Listener: b}}
		got := servers[0].Literal(servers)
		if want, _ := netip.ParseAddr(c.want); got != want {
			t.Errorf("%s: %v, want %q", c.name, got, c.want)
		}
	}
}
