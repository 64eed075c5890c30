package watcher

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"syscall"
	"time"

	gopsnet "github.com/shirou/gopsutil/v3/net"

	"porttray/watcher/owner"
)

// Scan reads what listens now, once and from scratch. That takes milliseconds and, on a machine with thousands of processes, a
// large part of a second. A Watcher remembers between its scans what need not be read again and is far cheaper.
func Scan(ctx context.Context) (Snapshot, error) {
	s := newSource()
	defer s.close()
	return s.scan(ctx)
}

// A source is a system's way to scan. It belongs to one goroutine.
type source struct {
	scan  func(context.Context) (Snapshot, error)
	wake  <-chan struct{} // receives a value when an owner has ended and a scan would show it; nil if the system does not tell
	close func()
}

// portable returns the scan that works everywhere.
func portable() source {
	s := newScanner()
	return source{close: s.handles.close, scan: sure(s.scan)}
}

// sure returns scan with its first good answer made sure of. Some failures of gopsutil look like empty lists: on Windows it leaves
// out a table, that of IPv4 or of IPv6, which the system does not give. A Watcher knows that by what was there before, but at first
// nothing was.
func sure(scan func(context.Context) (Snapshot, error)) func(context.Context) (Snapshot, error) {
	first := true
	return func(ctx context.Context) (Snapshot, error) {
		seen, err := scan(ctx)
		if err != nil || !first {
			return seen, err
		}
		both := []Listener{{Addrs: []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}}}
		if lost := lostFamilies(both, seen.Listeners); len(lost) > 0 {
			seen, err = witnessed(ctx, scan, lost)
		}
		first = err != nil
		return seen, err
	}
}

// A scanner is the portable scan, made with gopsutil. It remembers facts about processes between scans, and belongs to one
// goroutine.
type scanner struct {
	facts map[int32]owner.Process  // of the owners in the last scan
	own   map[int32][]socket       // of processes that were asked for theirs in this scan
	tops  map[socket]owner.Process // the topmost process that shares the socket

	handles handles
	exits   exits
}

func newScanner() *scanner {
	return &scanner{facts: map[int32]owner.Process{}, own: map[int32][]socket{}, tops: map[socket]owner.Process{}, handles: handles{}}
}

// A socket is one listening socket as the system lists it. PID is 0 when its process cannot be seen.
type socket struct {
	addr netip.Addr
	port uint16
	pid  int32
}

// place is the address and port of a socket, whoever owns it.
func (s socket) place() netip.AddrPort { return netip.AddrPortFrom(s.addr, s.port) }

func (s *scanner) scan(ctx context.Context) (Snapshot, error) {
	sockets, err := listening(ctx, 0)
	if err != nil {
		return Snapshot{}, err
	}
	sockets = s.restore(ctx, sockets)

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
	listeners := map[ID]*Listener{}
	for _, so := range sockets {
		top, known := s.tops[so]
		if known && top.PID != so.pid {
			known = s.holds(ctx, top.PID, so.place(), sockets)
		}
		p, alive := read(top.PID)
		if !known || !alive || !p.Is(top) {
			if top, alive = s.topmost(ctx, so, sockets); !alive {
				continue // its process ended while the list was read, and the socket with it
			}
			if p, alive = read(top.PID); !alive {
				continue
			}
		}
		tops[so] = top
		id := ID{Port: so.port, PID: p.PID, Start: p.Start}
		if listeners[id] == nil {
			listeners[id] = &Listener{Port: so.port, Owner: p}
		}
		listeners[id].Addrs = append(listeners[id].Addrs, so.addr)
	}
	s.facts, s.tops = facts, tops
	now := time.Now()
	s.exits.add(s.handles.keep(facts, now), now)
	return Snapshot{Time: now, Listeners: local(listeners), Source: "gopsutil", Exits: s.exits.known}, nil
}

// local returns, sorted, those of the listeners that are reachable over loopback.
func local(all map[ID]*Listener) []Listener {
	var result []Listener
	for _, l := range all {
		slices.SortFunc(l.Addrs, netip.Addr.Compare)
		l.Addrs = slices.Compact(l.Addrs)
		if slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool { return a.IsLoopback() || a.IsUnspecified() }) {
			result = append(result, *l)
		}
	}
	slices.SortFunc(result, Listener.compare)
	return result
}

// read returns the facts about the process with this PID, from memory if it is still the same process. They are the zero value
// for an unknown process; false means that there is no such process any more.
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

// topmost climbs from a socket's process to its ancestors for as long as they hold the same socket: a server that forks its
// workers after it listens is known by its main process. False means that the process has ended.
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
		if !ok || !s.holds(ctx, parent.PID, so.place(), all) {
			return top, true
		}
		top = parent
	}
}

// holds reports whether a process holds a listening socket at that place. Linux lists each socket with only one of the
// processes that share it, so there the process itself is asked, once a scan.
func (s *scanner) holds(ctx context.Context, pid int32, at netip.AddrPort, all []socket) bool {
	if runtime.GOOS == "linux" {
		own, asked := s.own[pid]
		if !asked && sameNetwork(pid) {
			own, _ = listening(ctx, pid) // a process whose files may not be seen does not count as a holder
		}
		s.own[pid] = own
		all = own
	}
	return slices.ContainsFunc(all, func(so socket) bool { return so.pid == pid && so.place() == at })
}

// sameNetwork reports whether a process is in this process's network namespace, as far as that may be seen. In another one the
// same address and port are other sockets.
func sameNetwork(pid int32) bool {
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	mine, err2 := os.Readlink("/proc/self/ns/net")
	return err == nil && err2 == nil && theirs == mine
}

// restore adds the sockets that gopsutil leaves out because another process has a socket at the same place (SO_REUSEPORT):
// of all of them it lists one, and not always the same.
func (s *scanner) restore(ctx context.Context, sockets []socket) []socket {
	listed := make(map[socket]bool, len(sockets))
	places := make(map[netip.AddrPort]bool, len(sockets))
	for _, so := range sockets {
		listed[so], places[so.place()] = true, true
	}
	for so, top := range s.tops {
		if so.pid <= 0 || listed[so] || !places[so.place()] || top.Gone() {
			continue
		}
		if own, err := listening(ctx, so.pid); err == nil && slices.Contains(own, so) {
			sockets = append(sockets, so)
		}
	}
	return sockets
}

// listening returns the listening TCP sockets of one process, or of all of them for PID 0.
func listening(ctx context.Context, pid int32) ([]socket, error) {
	var conns []gopsnet.ConnectionStat
	// A process that ends while its files are read makes gopsutil give up; that is no failure of the system.
	err := error(syscall.ESRCH)
	for try := 0; try < 3 && errors.Is(err, syscall.ESRCH); try++ {
		conns, err = connections(ctx, pid)
	}
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
		sockets = append(sockets, socket{addr, uint16(c.Laddr.Port), c.Pid})
	}
	return sockets, nil
}

// connections asks gopsutil. The variant without user ids saves reading a file per connection; Windows lacks it.
func connections(ctx context.Context, pid int32) ([]gopsnet.ConnectionStat, error) {
	if runtime.GOOS == "linux" {
		return gopsnet.ConnectionsPidWithoutUidsWithContext(ctx, "tcp", pid)
	}
	return gopsnet.ConnectionsPidWithContext(ctx, "tcp", pid)
}

// bindAddress reads the local address of a connection. lsof, and so gopsutil on macOS, writes an asterisk for a wildcard.
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
