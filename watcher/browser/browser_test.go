package browser

import (
	"net/netip"
	"testing"

	"porttray/watcher"
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
	}
}
