package watcher

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"porttray/watcher/server"
)

// TestPortable checks that the first portable scan proves to see both address families, and leaves no trace.
func TestPortable(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	src := portable(false)
	defer src.close()
	for range 2 {
		s, err := src.scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Holders(port)) != 1 {
			t.Errorf("port %d is missing", port)
		}
		for _, l := range s.Listeners {
			if l.Owner.PID == int32(os.Getpid()) && l.Port != port {
				t.Errorf("port %d is the witness of the scan", l.Port)
			}
		}
	}
}

// TestSourceOr has scans that work or fail, and a second source as a substitute for the first.
func TestSourceOr(t *testing.T) {
	tests := []struct {
		name  string
		first string // a letter per scan: f fails, c ends the context and fails, others work
		want  string // the source of each snapshot, or a minus sign
		said  string // other calls
	}{
		{"it works", "ok", "11", ""},
		{"it never works", "f", "222", "closed 1, opened 2, "},
		{"it fails later", "okf", "11-", ""},
		{"it fails later for a while", "kfk", "1-1", ""},
		{"the context ends", "ck", "-1", ""},
		{"the context ends, and then it fails", "cf", "-2", "closed 1, opened 2, "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			said := ""
			var ctx context.Context
			var cancel context.CancelFunc
			at := 0
			first := source{close: func() { said += "closed 1, " }, scan: func(context.Context) (Snapshot, error) {
				what := tt.first[at]
				at++
				if what == 'c' {
					cancel()
				}
				if what == 'c' || what == 'f' {
					return Snapshot{}, errors.New("broken")
				}
				return Snapshot{Source: "1"}, nil
			}}
			src := first.or(func() source {
				said += "opened 2, "
				return source{close: func() { said += "closed 2, " }, scan: func(context.Context) (Snapshot, error) {
					return Snapshot{Source: "2"}, nil
				}}
			})
			got := ""
			for range tt.want {
				ctx, cancel = context.WithCancel(t.Context())
				s, err := src.scan(ctx)
				if cancel(); err != nil {
					s.Source = "-"
				}
				got += s.Source
			}
			if got != tt.want || said != tt.said {
				t.Errorf("got %s, %q, want %s, %q", got, said, tt.want, tt.said)
			}
			open := "closed 1, "
			if strings.Contains(said, "opened 2") {
				open = "closed 2, "
			}
			if src.close(); said != tt.said+open {
				t.Errorf("at the end: got %q, want %q", said, tt.said+open)
			}
		})
	}
}

// TestProven has a scan that sees only one listener, so the scan must not be trusted.
func TestProven(t *testing.T) {
	needIPv6(t)
	port := listen(t, "tcp4", "127.0.0.1:0")
	s := newScanner()
	list := s.list
	s.list = func(ctx context.Context, pid int32) ([]socket, error) {
		sockets, err := list(ctx, pid)
		var seen []socket
		for _, so := range sockets {
			if so.port == port {
				seen = append(seen, so)
			}
		}
		return seen, err
	}
	src := s.proven()
	defer src.close()
	for range 2 { // repetition does not make it complete
		if snapshot, err := src.scan(t.Context()); err == nil || !strings.Contains(err.Error(), "tcp6") {
			t.Errorf("found %q, %v, want an error about tcp6", found(snapshot, port), err)
		}
	}
}

// TestSure has a gopsutil that silently omits the listeners of an address family.
func TestSure(t *testing.T) {
	needIPv6(t)
	mine := []uint16{listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0")}
	for _, tt := range []struct {
		name    string
		without []func(netip.Addr) bool
		want    string // the error
	}{
		{"both are there", nil, ""},
		{"the table of IPv4 fails", []func(netip.Addr) bool{netip.Addr.Is4}, incomplete + "tcp4"},
		{"the table of IPv6 fails", []func(netip.Addr) bool{netip.Addr.Is6}, incomplete + "tcp6"},
		{"both fail", []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6}, incomplete + "tcp4 and tcp6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			blind, scans := true, 0
			s := newScanner()
			defer s.handles.close()
			scan := sure(func(ctx context.Context) (Snapshot, error) {
				scans++
				seen, err := s.scan(ctx)
				for i := range tt.without {
					seen.Listeners = without(seen.Listeners,
						func(a netip.Addr) bool { return blind && tt.without[i](a) })
				}
				return seen, err
			})
			for range 2 { // a failed scan does not count as the first one
				if _, err := scan(t.Context()); text(err) != tt.want {
					t.Errorf("got the error %v, want %q", err, tt.want)
				}
			}
			blind = false
			for range 2 {
				seen, err := scan(t.Context())
				if err != nil || len(seen.Holders(mine[0])) != 1 || len(seen.Holders(mine[1])) != 1 {
					t.Errorf("after the failures, port %d has %q, %d has %q, %v", mine[0], found(seen, mine[0]),
						mine[1], found(seen, mine[1]), err)
				}
			}
			// An incomplete scan is repeated once. A complete one is not.
			if want := map[bool]int{true: 6, false: 4}[len(tt.without) > 0]; scans != want {
				t.Errorf("%d scans were made, want %d", scans, want)
			}
		})
	}
}

// without returns the listeners without their hidden addresses.
func without(all []server.Listener, hidden func(netip.Addr) bool) []server.Listener {
	var left []server.Listener
	for _, l := range all {
		if l.Addrs = slices.DeleteFunc(slices.Clone(l.Addrs), hidden); len(l.Addrs) > 0 {
			left = append(left, l)
		}
	}
	return left
}

// TestUnavailable tries to listen on an address that no machine has, and on a taken one.
func TestUnavailable(t *testing.T) {
	needLoopback(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for addr, want := range map[string]bool{
		"192.0.2.1:0":           true, // for documentation (RFC 5737), so no machine has it
		taken.Addr().String():   false,
		"127.0.0.1:no-service-": false,
	} {
		l, err := net.Listen("tcp4", addr)
		if err == nil {
			l.Close()
			t.Errorf("listening on %s works", addr)
		} else if unavailable(err) != want {
			t.Errorf("%s is unavailable: %v (%v), want %v", addr, !want, err, want)
		}
	}
}
