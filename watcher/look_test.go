package watcher

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// TestLook finds a listener of this process, with its facts. It lists only listeners that are reachable over loopback.
func TestLook(t *testing.T) {
	needOwners(t)
	port := listen(t, "tcp4", "127.0.0.1:0")
	s, err := Look(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	on := server.OnPort(s.Listeners, port)
	if len(on) != 1 || int(on[0].Owner.PID) != os.Getpid() || on[0].Facts == (facts.Facts{}) {
		t.Errorf("found %+v", on)
	}
	if slices.ContainsFunc(s.Listeners, func(l server.Listener) bool {
		return !slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool { return a.IsLoopback() || a.IsUnspecified() })
	}) {
		t.Errorf("found a listener off loopback: %+v", s.Listeners)
	}
}

func TestLookAt(t *testing.T) {
	needOwners(t)
	port, other := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp4", "127.0.0.1:0")
	s, err := LookAt(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	if on := server.OnPort(s.Listeners, port); len(on) != 1 || on[0].Facts == (facts.Facts{}) {
		t.Errorf("found %+v", on)
	}
	if on := server.OnPort(s.Listeners, other); len(on) != 1 || on[0].Owner.PID == 0 {
		t.Errorf("on another port, found %+v", on)
	}
}

// TestLookAtElsewhere listens on an address of this machine outside loopback, if there is one.
func TestLookAtElsewhere(t *testing.T) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().Is4() || prefix.Addr().IsLoopback() {
			continue
		}
		l, err := net.Listen("tcp4", netip.AddrPortFrom(prefix.Addr(), 0).String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := uint16(l.Addr().(*net.TCPAddr).Port)
		s, err := LookAt(t.Context(), port)
		if on := server.OnPort(s.Listeners, port); err != nil || len(on) != 1 || on[0].Addrs[0] != prefix.Addr() {
			t.Errorf("found %+v (%v)", on, err)
		}
		if s, err := Look(t.Context(), true); err != nil || len(server.OnPort(s.Listeners, port)) != 1 {
			t.Errorf("everywhere, found %+v (%v)", server.OnPort(s.Listeners, port), err)
		}
		if s, err := Scan(t.Context()); err != nil || len(server.OnPort(s.Listeners, port)) != 0 {
			t.Errorf("a scan found %+v (%v)", server.OnPort(s.Listeners, port), err)
		}
		for _, everywhere := range []bool{true, false} {
			if on := server.OnPort(first(t, Watcher{Everywhere: everywhere}).Listeners, port); len(on) == 1 != everywhere {
				t.Errorf("a watcher, everywhere %t, found %+v", everywhere, on)
			}
		}
		return
	}
	t.Skip("this machine has no address but loopback")
}

// first returns the first snapshot of a Watcher.
func first(t *testing.T, w Watcher) Snapshot {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	updates := make(chan Update)
	wg.Go(func() { w.Run(ctx, updates) })
	return (<-updates).Snapshot
}

// TestLookUp collects facts and containers, and stops waiting after lookLimit.
func TestLookUp(t *testing.T) {
	web, proxy := server.Listener{Port: 3000, Owner: owner.Process{PID: 2, Start: 1}},
		server.Listener{Port: 5432, Addrs: []netip.Addr{netip.IPv4Unspecified()}}
	want := facts.Facts{App: "found out"}
	published := engine.List{Published: []engine.Published{{Addr: netip.IPv4Unspecified(), Port: 5432, Inside: 80,
		Container: engine.Container{ID: "c"}}}}
	for name, tt := range map[string]struct {
		facts, engines time.Duration // duration of each lookup
		about          []server.Listener
		after          time.Duration
		told, attached bool
	}{
		"at once":          {0, 0, []server.Listener{web, proxy}, 0, true, true},
		"slow facts":       {time.Second, 0, []server.Listener{web, proxy}, time.Second, true, true},
		"facts that hang":  {time.Hour, 0, []server.Listener{web, proxy}, lookLimit, false, true},
		"an engine hangs":  {0, time.Hour, []server.Listener{web, proxy}, lookLimit, true, false},
		"only the first":   {0, 0, []server.Listener{web}, 0, true, false},
		"nothing is asked": {0, 0, nil, 0, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				wait := func(d time.Duration) {
					select {
					case <-time.After(d):
					case <-ctx.Done():
					}
				}
				n := naming{
					facts: func(context.Context, owner.Process) (facts.Facts, bool) {
						wait(tt.facts)
						return want, true
					},
					containers: func(context.Context, bool) engine.List { wait(tt.engines); return published },
				}
				start := time.Now()
				got := lookUp(ctx, n, []server.Listener{web, proxy}, tt.about)
				if took := time.Since(start); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
				if told, attached := got[0].Facts == want, got[1].Container.ID == "c" &&
					got[1].Inside == 80; told != tt.told || attached != tt.attached {
					t.Errorf("facts %t and container %t, want %t and %t: %+v", told, attached, tt.told, tt.attached,
						got)
				}
			})
		})
	}
}
