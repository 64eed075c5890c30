package server

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
	"strings"

	"porttray/watcher/facts"
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
	Facts facts.Facts
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

	Socket uint64 // the system's ID of one of the sockets; 0 if unknown
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

// Compare orders listeners by port, then by owner. The order of two listeners never changes while they live.
func (l Listener) Compare(m Listener) int {
	return cmp.Or(cmp.Compare(l.Port, m.Port), cmp.Compare(l.Owner.PID, m.Owner.PID),
		cmp.Compare(l.Owner.Start, m.Owner.Start), cmp.Compare(l.ID().Container, m.ID().Container))
}

// OnPort returns the part of a sorted list on a port. It copies no listener, because they are large.
func OnPort(sorted []Listener, port uint16) []Listener {
	i := sort.Search(len(sorted), func(i int) bool { return sorted[i].Port >= port })
	j := i
	for j < len(sorted) && sorted[j].Port == port {
		j++
	}
	return sorted[i:j]
}

// IndexID returns the index of the listener with an ID, or -1.
func IndexID(list []Listener, id ID) int {
	for i := range list {
		if list[i].Port == id.Port && list[i].ID() == id {
			return i
		}
	}
	return -1
}

// HasID reports whether a list has the listener with an ID.
func HasID(list []Listener, id ID) bool { return IndexID(list, id) >= 0 }

// Forwardable reports whether a container may publish the listener.
func (l Listener) Forwardable() bool { return !l.Owner.Known() || l.Owner.Forwards() }

// Hosted reports whether the listener runs in a container with this computer's network. Its port is not published.
func (l Listener) Hosted() bool { return l.Container.ID != "" && l.Facts.Container == l.Container.ID }

const noPodman = "No Podman socket: "

// WithoutPodman returns the value of Untold if Podman has no socket, with the command that starts it.
func WithoutPodman(command string) string { return noPodman + command }

// PodmanSocket returns the command that starts Podman's socket if Podman needs it to name the container behind l.
func (l Listener) PodmanSocket() string {
	if command, ok := strings.CutPrefix(l.Untold, noPodman); ok {
		return command
	}
	return ""
}
