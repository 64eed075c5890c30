// Package watcher tells what listens on loopback now, and what changed since the last time it was asked.
//
// A scan reads the machine's listening TCP sockets as [Listener] values. [Servers] forms servers from them. A [Watcher] does both
// at a fixed interval, compares the servers with those before by [Diff], and delivers an [Update] when something changed. The
// package knows nothing of menus or terminals.
package watcher

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// A Listener is the set of TCP sockets by which one owner listens on one port, where at least one of them is reachable over
// loopback: bound to an address of 127.0.0.0/8, to ::1, or to a wildcard.
type Listener struct {
	Port uint16
	// Addrs are the bind addresses, sorted and distinct; IPv4 addresses mapped into IPv6 stand as the IPv4 addresses they are.
	// Addresses of other interfaces are among them when the owner listens there as well.
	Addrs []netip.Addr
	// Owner is the process that holds the sockets; of several that share them, the topmost. It may be unknown.
	Owner owner.Process
	// Facts say whose server the owner is. A scan leaves them empty; a Watcher finds them out.
	Facts owner.Facts
	// Container is what publishes the port, where the owner is a forwarder or hidden; else it is empty.
	Container engine.Container
	// Inside is the container's own port, to which this one leads; 0 where that is not known.
	Inside uint16
	// Redirected says that no process listens: the system redirects the port to the container.
	Redirected bool
	// Label is what the person calls it, if they said so; a Watcher leaves it empty. It is untrusted text.
	Label string
	// Restarts is how often the server was seen to restart.
	Restarts int
	// Widened says that other machines can reach the server, and could not before. A Watcher saw it change, perhaps by a restart.
	Widened bool
	// Untold is why the container behind a forwarder cannot be told now, in a few plain words. If there is a Container all the
	// same, it is what was known before.
	Untold string

	socket uint64 // the system's name for one of the sockets; 0 where it tells none
}

// Exposed reports whether the listener can be reached from other machines, as far as its bind addresses tell: a firewall may
// still stand in between.
func (l Listener) Exposed() bool {
	return slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool { return !a.IsLoopback() })
}

// Wildcard reports whether the listener is bound to all interfaces.
func (l Listener) Wildcard() bool { return slices.ContainsFunc(l.Addrs, netip.Addr.IsUnspecified) }

// Loopback returns the loopback address by which l is reached best: 127.0.0.1 if it can be, else ::1, else its own.
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

// Directory returns the directory of the project, or else that of the process. It is empty for a container, which has directories of
// its own, and for a process that holds the sockets of several projects.
func (l Listener) Directory() string {
	switch {
	case l.Container.ID != "":
		return ""
	case l.Facts.Project.Dir != "", l.Facts.Container != "", l.Facts.Holder:
		return l.Facts.Project.Dir
	}
	return l.Owner.Dir
}

// Equal reports whether l and m say the same in everything, not only whether they are the same listener.
func (l Listener) Equal(m Listener) bool {
	return l.Port == m.Port && l.Owner == m.Owner && slices.Equal(l.Addrs, m.Addrs) &&
		l.Facts == m.Facts && l.Label == m.Label && l.Container == m.Container && l.Inside == m.Inside &&
		l.Redirected == m.Redirected && l.Untold == m.Untold && l.Restarts == m.Restarts && l.Widened == m.Widened
}

// compare orders listeners by port, then by owner. The order of two listeners never changes while they live.
func (l Listener) compare(m Listener) int {
	return cmp.Or(cmp.Compare(l.Port, m.Port), cmp.Compare(l.Owner.PID, m.Owner.PID), cmp.Compare(l.Owner.Start, m.Owner.Start),
		cmp.Compare(l.ID().Container, m.ID().Container))
}

// A Snapshot is what one scan found: every listener once, sorted by port and owner.
type Snapshot struct {
	Time      time.Time // when the scan ended; zero if there was none yet
	Listeners []Listener
	// Servers are the listeners by the servers that they belong to, in port order. A scan leaves them out.
	Servers []Server
	Source  string // where the list came from: "sock_diag", "/proc/net/tcp", "libproc" or "gopsutil"
	// Searching says that something is about to be found out by the next scan: the search for an owner has taken long, or the exit
	// status of one that ended is not there yet.
	Searching bool
	// Exits says how processes that owned listeners ended within the last minute, as far as that is known. It may be nil, and it is
	// never modified.
	Exits map[owner.ID]owner.Exit
}

// Find returns the listener of that name.
func (s Snapshot) Find(id ID) (Listener, bool) {
	for _, l := range onPort(s.Listeners, id.Port) {
		if l.ID() == id {
			return l, true
		}
	}
	return Listener{}, false
}

// Ports returns how many different ports are listened on.
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

// A Kind says what happened to a server.
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
	Before Server // for Restarted, Replaced and Exposed: what was there before; for Moved: what holds the usual port
	Reason Reason // for Closed, Restarted, Replaced and Explained: why the server that was there ended
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

// An Update is what a Watcher delivers: the state now, and how it came about. The Watcher goes on reading it, so its reader must not
// modify it.
type Update struct {
	// Snapshot is the last state that is known for sure. Its Time tells how old that is.
	Snapshot Snapshot
	// Events lead from the servers delivered before to these, closed before all others. The first good snapshot comes without
	// any: what listened before anyone looked is no news. There are none either when only an address, a fact or a further port
	// changed. A server that opens within RestartGrace of the closing of another one on its port is a restart or a replacement
	// of that one, also when the closing was in an update before. Of a server about which too little is known, the event comes
	// later than its row: by at most RestartGrace, or a minute while its owner is looked for or if it has only a debugger's port yet.
	Events []Event
	// Slept says that nobody looked for a while until shortly before this update: the computer slept, or this program was stopped.
	// On systems other than Linux and Windows it may also be that the clock was set forward.
	Slept bool
	// Err tells why the state cannot be read at present; then Snapshot is stale. Nil when all is well.
	Err error
	// Slow is the pause between scans where that had to be stretched because scans are expensive here; 0 where it was not.
	Slow time.Duration
}
