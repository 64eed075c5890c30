// Package watcher lists the listeners on loopback and their changes.
//
// A scan reads the machine's listening TCP sockets as [Listener] values. [Servers] forms servers from them. A [Watcher]
// does both at a fixed interval, compares the servers with the previous ones by [Diff], and delivers an [Update] when
// something changed. The package does not depend on menus or terminals.
package watcher

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// A Listener is the set of TCP sockets by which one owner listens on one port. At least one of them is reachable over
// loopback: bound to an address of 127.0.0.0/8, to ::1, or to a wildcard.
type Listener struct {
	Port uint16
	// Addrs are the bind addresses, sorted and distinct. IPv4-mapped IPv6 addresses are given as IPv4 addresses.
	// Addresses of other interfaces are included if the owner listens there as well.
	Addrs []netip.Addr
	// Owner is the process that holds the sockets, or the topmost one if several share them. It may be unknown.
	Owner owner.Process
	// Facts describe the owner's server. A scan leaves them empty; a Watcher fills them in.
	Facts owner.Facts
	// Container publishes the port, if the owner is a forwarder or hidden; otherwise it is empty.
	Container engine.Container
	// Inside is the container's own port behind this one; 0 if unknown.
	Inside uint16
	// Redirected says that no process listens: the system redirects the port to the container.
	Redirected bool
	// Label is the person's own name for the server; a Watcher leaves it empty. It is untrusted text.
	Label string
	// Restarts is how often the server was seen to restart.
	Restarts int
	// Widened says that other machines can reach the server, and could not before. A Watcher saw the change.
	Widened bool
	// Untold is the reason, in a few words, why the engine cannot name the container now. Container is then the last
	// known.
	Untold string

	socket uint64 // the system's ID of one of the sockets; 0 if unknown
}

// Exposed reports whether the bind addresses let other machines reach the listener. A firewall may still block them.
func (l Listener) Exposed() bool {
	return slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool { return !a.IsLoopback() })
}

// Wildcard reports whether the listener is bound to all interfaces.
func (l Listener) Wildcard() bool { return slices.ContainsFunc(l.Addrs, netip.Addr.IsUnspecified) }

// Loopback returns the best loopback address of l: 127.0.0.1 if possible, else ::1, else its own.
func (l Listener) Loopback() netip.Addr {
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	best := netip.Addr{}
	for _, a := range l.Addrs {
		switch {
		case a == v4, a == netip.IPv4Unspecified():
			return v4
		case a == v6, a == netip.IPv6Unspecified():
			best = v6
		case a.IsLoopback() && !best.IsValid():
			best = a
		}
	}
	return best
}

// Directory returns the directory of the project, or else of the process. It is empty for a container, which has its
// own directories, and for a process that holds the sockets of several projects.
func (l Listener) Directory() string {
	switch {
	case l.Container.ID != "":
		return ""
	case l.Facts.Project.Dir != "", l.Facts.Container != "", l.Facts.Holder:
		return l.Facts.Project.Dir
	}
	return l.Owner.Dir
}

// Equal reports whether all fields of l and m are equal, not only whether they are the same listener.
func (l Listener) Equal(m Listener) bool {
	return l.Port == m.Port && l.Owner == m.Owner && slices.Equal(l.Addrs, m.Addrs) &&
		l.Facts == m.Facts && l.Label == m.Label && l.Container == m.Container && l.Inside == m.Inside &&
		l.Redirected == m.Redirected && l.Untold == m.Untold && l.Restarts == m.Restarts && l.Widened == m.Widened
}

// compare orders listeners by port, then by owner. The order of two listeners never changes while they live.
func (l Listener) compare(m Listener) int {
	return cmp.Or(cmp.Compare(l.Port, m.Port), cmp.Compare(l.Owner.PID, m.Owner.PID),
		cmp.Compare(l.Owner.Start, m.Owner.Start), cmp.Compare(l.ID().Container, m.ID().Container))
}

// A Snapshot is the result of one scan: every listener once, sorted by port and owner.
type Snapshot struct {
	Time      time.Time // when the scan ended; zero if there was none yet
	Listeners []Listener
	// Servers are the listeners grouped by server, in port order. A scan leaves them out.
	Servers []Server
	Source  string // "sock_diag", "/proc/net/tcp", "libproc" or "gopsutil"
	// Searching says that the next scan may find an owner after a long search, or the exit status of one that ended.
	Searching bool
	// Exits holds the known exits of owners within the last minute. It may be nil, and it is never modified.
	Exits map[owner.ID]owner.Exit
}

// Find returns the listener with that ID.
func (s Snapshot) Find(id ID) (Listener, bool) {
	for _, l := range onPort(s.Listeners, id.Port) {
		if l.ID() == id {
			return l, true
		}
	}
	return Listener{}, false
}

// Ports returns the number of distinct listening ports.
func (s Snapshot) Ports() int {
	n := 0
	for i, l := range s.Listeners {
		if i == 0 || l.Port != s.Listeners[i-1].Port {
			n++
		}
	}
	return n
}

// Holders returns the owners of the listeners on a port.
func (s Snapshot) Holders(port uint16) []owner.Process {
	var holders []owner.Process
	for _, l := range onPort(s.Listeners, port) {
		holders = append(holders, l.Owner)
	}
	return holders
}

// A Kind is the kind of an event.
type Kind int

// The kinds of event.
const (
	Opened    Kind = iota
	Closed         // its head port is no longer listened on
	Restarted      // the same server is back on its port
	Replaced       // another server has the port
	Moved          // it opened on another port than usual, because another server holds the usual one
	Exposed        // it can be reached from other machines, and could not before
	Explained      // the reason for an earlier event became known; each reason comes once
)

// String returns the kind in lower case.
func (k Kind) String() string {
	return [...]string{"opened", "closed", "restarted", "replaced", "moved", "exposed", "explained"}[k]
}

// An Event is one thing that happened to one server. Its further ports make no events of their own.
type Event struct {
	Kind   Kind
	Server        // as it is; for Closed and Explained as it was last seen
	Before Server // for Restarted, Replaced and Exposed: the server before; for Moved: the server on the usual port
	Reason Reason // for Closed, Restarted, Replaced and Explained: why the server ended
}

// Widened returns the port of an exposed server that became reachable from other machines: the head, if several did.
func (e Event) Widened() Listener {
	for _, l := range e.Ports() {
		at := e.Before.on(l.Port)
		if l.Exposed() && len(at) > 0 && !slices.ContainsFunc(at, Listener.Exposed) {
			return l
		}
	}
	return e.Listener
}

// An Update is the state now and the events since the last one. The Watcher reads it later, so nobody may modify it.
type Update struct {
	// Snapshot is the last confirmed state. Its Time tells how old it is.
	Snapshot Snapshot
	// Events lead from the servers delivered before to these, closed first. The first good snapshot has none: its
	// servers are not new. A change of only an address, a fact or a further port makes no event. A server that opens
	// within RestartGrace after another one on its port closed is its restart or replacement, even if that closing was
	// in an earlier update. If too little is known about a server, its event comes later than its row. The delay is at
	// most RestartGrace. It is at most a minute during the search for its owner, or while only its debugger's port is
	// open.
	Events []Event
	// Slept says that there were no scans for a while until shortly before this update: the computer slept, or this
	// program was stopped. Except on Linux and Windows, someone may also have set the clock forward.
	Slept bool
	// Err is the reason why the state cannot be read now; then Snapshot is stale. It is nil otherwise.
	Err error
	// Slow is the pause between scans if expensive scans have stretched it; otherwise 0.
	Slow time.Duration
}
