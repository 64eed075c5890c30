package watcher

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	gopsnet "github.com/shirou/gopsutil/v3/net"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// Scan lists the current listeners, once and from scratch. That takes milliseconds. With thousands of processes it
// takes a large part of a second. A Watcher remembers facts between its scans, and is far cheaper.
func Scan(ctx context.Context) (Snapshot, error) {
	return scanOnce(ctx, false)
}

// scanOnce scans with a source of its own.
func scanOnce(ctx context.Context, everywhere bool) (Snapshot, error) {
	s := newSource(everywhere)
	defer s.close()
	return s.scan(ctx)
}

// A source is a system's way to scan. It belongs to one goroutine.
type source struct {
	scan   func(context.Context) (Snapshot, error)
	wake   <-chan struct{} // receives a value when an owner has ended; nil if the system does not tell
	close  func()
	detour error // why this is not the quickest source for the system; nil if it is
}

// portable returns the scan that works on all systems.
func portable(everywhere bool) source {
	s := newScanner()
	s.everywhere = everywhere
	return s.proven()
}

// proven returns the scan as a source that verifies its first good result.
func (s *scanner) proven() source { return source{close: s.handles.close, scan: sure(s.scan)} }

// sure returns a scan that verifies the first good result of the given one. Some failures to list sockets look like
// empty lists: on Windows gopsutil omits the table of IPv4 or IPv6 if the system does not return it. A Watcher compares
// with the listeners before, but the first scan has none.
func sure(scan func(context.Context) (Snapshot, error)) func(context.Context) (Snapshot, error) {
	first := true
	return func(ctx context.Context) (Snapshot, error) {
		seen, err := scan(ctx)
		if err != nil || !first {
			return seen, err
		}
		both := []server.Listener{{Addrs: []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}}}
		if lost := lostFamilies(both, seen.Listeners); len(lost) > 0 {
			seen, err = witnessed(ctx, scan, lost)
		}
		first = err != nil
		return seen, err
	}
}

// or returns a source that uses s if the first scan of s succeeds, and otherwise the second one. It never changes
// later: the two may see different sockets, and those would seem to close. Nothing wakes the source.
func (s source) or(second func() source) source {
	decided := false
	return source{close: func() { s.close() }, scan: func(ctx context.Context) (Snapshot, error) {
		seen, err := s.scan(ctx)
		if err == nil || decided || ctx.Err() != nil {
			decided = decided || err == nil
			return seen, err
		}
		s.close()
		s, decided = second(), true
		return s.scan(ctx)
	}}
}

// A scanner is the portable scan. It looks up the owners of the sockets that its lister returns. It remembers facts
// about processes between scans, and belongs to one goroutine.
type scanner struct {
	name  string // the lister's name
	list  lister
	lone  bool // the system's list has a shared socket only once
	lossy bool // the list can lack a socket if another process has one at the same address and port

	facts map[int32]owner.Process  // facts of the owners in the last scan
	own   map[int32][]socket       // sockets of the processes asked in this scan
	tops  map[socket]owner.Process // the topmost process that shares the socket

	handles handles
	exits   exits

	everywhere bool // also list sockets that are not reachable over loopback
}

// A lister returns the listening TCP sockets of one process, or of the system for PID 0. Nobody modifies them.
type lister func(ctx context.Context, pid int32) ([]socket, error)

// newScanner returns a scanner of gopsutil's lists. On macOS they have each socket with each of its processes.
func newScanner() *scanner {
	s := scannerOf("gopsutil", listening)
	s.lone, s.lossy = runtime.GOOS == "linux", true
	return s
}

// scannerOf returns a scanner of a lister's list. The list has each socket once.
func scannerOf(name string, list lister) *scanner {
	return &scanner{name: name, list: list, lone: true, facts: map[int32]owner.Process{},
		own: map[int32][]socket{}, tops: map[socket]owner.Process{}, handles: handles{}}
}

// A socket is one listening socket as the system lists it. PID is 0 if its process is hidden.
type socket struct {
	addr    netip.Addr
	port    uint16
	pid     int32
	foreign bool // known to be another user's; only for a hidden process
}

func (s socket) addrPort() netip.AddrPort { return netip.AddrPortFrom(s.addr, s.port) }

func (s *scanner) scan(ctx context.Context) (Snapshot, error) {
	sockets, err := s.list(ctx, 0)
	if err != nil {
		return Snapshot{}, err
	}
	if s.lossy {
		sockets = s.restore(ctx, sockets)
	}

	s.own = map[int32][]socket{}
	tops := make(map[socket]owner.Process, len(sockets))
	facts := map[int32]owner.Process{}
	read := func(pid int32) (owner.Process, bool) { // once per process and scan
		p, ok := facts[pid]
		if !ok {
			if p, ok = s.read(ctx, pid); ok {
				facts[pid] = p
			}
		}
		return p, ok
	}
	listeners := map[server.ID]*server.Listener{}
	for _, so := range sockets {
		top, known := s.tops[so]
		if known && top.PID != so.pid {
			known = s.holds(ctx, top.PID, so.addrPort(), sockets)
		}
		p, alive := read(top.PID)
		if !known || !alive || !p.Is(top) {
			if top, alive = s.topmost(ctx, so, sockets); !alive {
				continue // its process ended during the scan, and the socket with it
			}
			if p, alive = read(top.PID); !alive {
				continue
			}
		}
		tops[so] = top
		p.Foreign = p.Foreign || so.foreign
		id := server.ID{Port: so.port, PID: p.PID, Start: p.Start}
		if listeners[id] == nil {
			listeners[id] = &server.Listener{Port: so.port, Owner: p}
		}
		listeners[id].Addrs = append(listeners[id].Addrs, so.addr)
		// An unknown owner is foreign only if all of its sockets are.
		listeners[id].Owner.Foreign = listeners[id].Owner.Foreign && p.Foreign
	}
	s.facts, s.tops = facts, tops
	now := time.Now()
	s.exits.add(s.handles.keep(facts, now), now)
	return Snapshot{Time: now, Listeners: sorted(listeners, s.everywhere), Source: s.name, Exits: s.exits.known}, nil
}

// sorted returns the listeners that reachable keeps, in order.
func sorted(all map[server.ID]*server.Listener, everywhere bool) []server.Listener {
	ordered := slices.SortedFunc(maps.Values(all), func(l, m *server.Listener) int { return l.Compare(*m) })
	list := make([]server.Listener, len(ordered))
	for i, l := range ordered {
		list[i] = *l
	}
	return reachable(list, everywhere)
}

// reachable returns the listeners that are reachable over loopback or, with everywhere, all, in the same memory. It
// sorts their addresses. It drops the witnesses of other porttrays.
func reachable(list []server.Listener, everywhere bool) []server.Listener {
	kept := list[:0]
	for i := range list {
		l := &list[i]
		slices.SortFunc(l.Addrs, netip.Addr.Compare)
		l.Addrs = slices.Compact(l.Addrs)
		local := slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool { return a.IsLoopback() || a.IsUnspecified() })
		if (local || everywhere) && !isWitness(*l) {
			kept = append(kept, *l)
		}
	}
	return kept
}

// read returns the facts about the process with this PID, from memory if it is still the same process. They are zero
// for an unknown process. False means that the process does not exist any more.
func (s *scanner) read(ctx context.Context, pid int32) (owner.Process, bool) {
	if pid <= 0 {
		return owner.Process{}, true
	}
	now, err := owner.Identify(pid)
	if old, ok := s.facts[pid]; ok && err == nil && old.Is(now) {
		return old, true
	}
	if err == nil {
		now, err = owner.Read(ctx, pid)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return owner.Process{}, false
	}
	if err != nil {
		return owner.Process{}, true
	}
	return now, true
}

// topmost climbs from a socket's process to its ancestors while they hold the same socket. So the main process
// represents a server that forks its workers after it listens. False means that the process has ended.
func (s *scanner) topmost(ctx context.Context, so socket, all []socket) (owner.Process, bool) {
	if so.pid <= 0 {
		return owner.Process{}, true
	}
	top, err := owner.Identify(so.pid)
	if err != nil {
		return owner.Process{}, !errors.Is(err, os.ErrProcessDone)
	}
	for {
		parent, ok := owner.Parent(top)
		if !ok || !s.holds(ctx, parent.PID, so.addrPort(), all) {
			return top, true
		}
		top = parent
	}
}

// holds reports whether a process holds a listening socket at that address and port. If the list has a shared socket
// only once, it asks the process itself, once per scan.
func (s *scanner) holds(ctx context.Context, pid int32, at netip.AddrPort, all []socket) bool {
	if s.lone {
		own, asked := s.own[pid]
		if !asked && sameNetwork(pid) {
			own, _ = s.list(ctx, pid) // a process with hidden files does not count as a holder
		}
		s.own[pid] = own
		all = own
	}
	return slices.ContainsFunc(all, func(so socket) bool { return so.pid == pid && so.addrPort() == at })
}

// sameNetwork reports whether a process is in this process's network namespace, as far as visible. In another namespace
// the same address and port are other sockets. Only Linux has such namespaces.
func sameNetwork(pid int32) bool {
	if runtime.GOOS != "linux" {
		return true
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	mine, err2 := os.Readlink("/proc/self/ns/net")
	return err == nil && err2 == nil && theirs == mine
}

// restore adds sockets that gopsutil omits because another process has a socket at the same address and port
// (SO_REUSEPORT). gopsutil lists one of them, and not always the same.
func (s *scanner) restore(ctx context.Context, sockets []socket) []socket {
	listed := make(map[socket]bool, len(sockets))
	places := make(map[netip.AddrPort]bool, len(sockets))
	for _, so := range sockets {
		listed[so], places[so.addrPort()] = true, true
	}
	for so, top := range s.tops {
		if so.pid <= 0 || listed[so] || !places[so.addrPort()] || top.Gone() {
			continue
		}
		if own, err := s.list(ctx, so.pid); err == nil && slices.Contains(own, so) {
			sockets = append(sockets, so)
		}
	}
	return sockets
}

func listening(ctx context.Context, pid int32) ([]socket, error) {
	conns, err := connections(ctx, "tcp", pid)
	if err != nil {
		return nil, fmt.Errorf("list TCP sockets: %w", err)
	}
	var sockets []socket
	for _, c := range conns {
		if c.Status != "LISTEN" {
			continue
		}
		addr, err := bindAddress(c)
		if err != nil {
			return nil, fmt.Errorf("list TCP sockets: %w", err)
		}
		sockets = append(sockets, socket{addr: addr, port: uint16(c.Laddr.Port), pid: c.Pid})
	}
	return sockets, nil
}

// connections returns gopsutil's "tcp" or "udp" sockets of one process, or of all processes for PID 0.
func connections(ctx context.Context, kind string, pid int32) (conns []gopsnet.ConnectionStat, err error) {
	list := gopsnet.ConnectionsPidWithContext
	if runtime.GOOS == "linux" { // this saves reading a file per connection; Windows has no such function
		list = gopsnet.ConnectionsPidWithoutUidsWithContext
	}
	// If a process ends while its files are read, gopsutil gives up; that is no failure of the system.
	err = syscall.ESRCH
	for try := 0; try < 3 && errors.Is(err, syscall.ESRCH); try++ {
		conns, err = list(ctx, kind, pid)
	}
	return conns, err
}

// bindAddress reads the local address of a connection. lsof (gopsutil on macOS) writes an asterisk for a wildcard.
func bindAddress(c gopsnet.ConnectionStat) (netip.Addr, error) {
	if c.Laddr.IP == "*" || c.Laddr.IP == "" {
		if c.Family == syscall.AF_INET {
			return netip.IPv4Unspecified(), nil
		}
		return netip.IPv6Unspecified(), nil
	}
	addr, err := netip.ParseAddr(c.Laddr.IP)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("bind address %q: %w", c.Laddr.IP, err)
	}
	return addr.Unmap().WithZone(""), nil
}
