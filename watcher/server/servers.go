// Package server defines a server: the thing that people start, name and stop. It groups listeners into servers, picks
// the head port, and gives each server its identity, section and name.
package server

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
)

// A Server is a listener together with the further ports that belong to it.
type Server struct {
	// Listener is the head. Its Addrs are the addresses of all the server's sockets on its port.
	Listener
	// Title is the name of the listener, in full if another server's would be equal. Place and Runs are its parts: the
	// project, and the tool or program. Either may be empty. A label or a container's name is a Title without parts.
	Title, Place, Runs string
	// Also are the further ports of the process, of its helpers or of its container, in port order.
	Also []Listener
	// Parts are all listeners of the server, first those of the head's process. They include the workers that share its
	// port, and the forwarders of the other address family.
	Parts []Listener
	// Master is the process that started all workers on the head's port, if known. It does not listen there.
	Master  owner.ID
	Section Section
	// Shared says that another server listens on the same port, at the same address or another.
	Shared bool
	// Ambiguous says that the name localhost may lead to this server or to another one.
	Ambiguous bool
	// Rest says that the server's head port closed a short time ago. These are its further ports, still open.
	Rest bool

	Rank int // rankOfPort of the head
}

// Alone returns a server with a single listener, in the main list.
func Alone(l Listener) Server {
	s := Server{Listener: l, Parts: []Listener{l}}
	s.entitle(addition{})
	return s
}

// Ports returns a listener for each port of the server, the head first.
func (s Server) Ports() []Listener { return append([]Listener{s.Listener}, s.Also...) }

// Has reports whether a process holds one of the server's ports.
func (s Server) Has(p owner.Process) bool {
	return p.Known() && slices.ContainsFunc(s.Parts, func(l Listener) bool { return l.Owner.Is(p) })
}

// On returns the parts of the server on a port.
func (s Server) On(port uint16) []Listener {
	return slices.DeleteFunc(slices.Clone(s.Parts), func(l Listener) bool { return l.Port != port })
}

// Exposed reports whether any of the server's ports can be reached from other machines, as Listener.Exposed does.
func (s Server) Exposed() bool {
	return s.Listener.Exposed() || slices.ContainsFunc(s.Also, Listener.Exposed)
}

// Workers returns the processes that listen on the head's port, in PID order. It omits forwarders of containers.
func (s Server) Workers() []owner.Process {
	var workers []owner.Process
	for _, l := range s.Parts {
		if l.Port == s.Port && !l.Forwardable() {
			workers = append(workers, l.Owner)
		}
	}
	slices.SortFunc(workers, func(p, q owner.Process) int { return cmp.Compare(p.PID, q.PID) })
	return workers
}

// Servers groups sorted listeners into servers, in port order. The function dynamic reports whether the system hands
// out a port to programs that ask for any.
func Servers(listeners []Listener, dynamic func(port uint16) bool) []Server {
	return Form(listeners, dynamic, nil)
}

// Form is Servers with preferences for heads, for example those of before. Higher numbers are preferred.
func Form(listeners []Listener, dynamic func(port uint16) bool, preferred map[ID]int) []Server {
	all := families(listeners, dynamic)
	servers := make([]Server, 0, len(all))
	started := sync.OnceValue(func() map[owner.ID]int { return startedBy(listeners) })
	for _, family := range all {
		first, also := merged(family, dynamic, preferred)
		servers = append(servers, Server{Listener: first, Also: also, Parts: family,
			Master:  masterOf(first, family, started),
			Section: traitsOf(first, dynamic).section(), Rank: rankOfPort(first, family[0].Owner.ID(), dynamic)})
	}
	slices.SortFunc(servers, func(a, b Server) int { return a.Compare(b.Listener) })
	markShared(servers)
	TitleAll(servers)
	return servers
}

// masterOf returns the process that started all workers on the head's port, if there are several and it runs the same
// program. A shell or a launcher runs another program: the workers may outlive it. A process that listens there itself
// is no master, nor is an ancestor of another family.
func masterOf(first Listener, family []Listener, started func() map[owner.ID]int) owner.ID {
	if len(family) < 2 {
		return owner.ID{}
	}
	master, workers := first.Facts.Ancestors[0], 0
	for _, l := range family {
		if l.Port != first.Port {
			continue
		}
		if workers++; !l.Facts.Forked || l.Facts.Ancestors[0] != master {
			return owner.ID{}
		}
	}
	own := 0 // of the family
	for _, l := range family {
		if l.Owner.ID() == master || slices.Contains(l.Facts.Ancestors[:], master) {
			own++
		}
	}
	if workers < 2 || started()[master] > own {
		return owner.ID{}
	}
	return master
}

// startedBy counts the listeners of each process and its descendants.
func startedBy(listeners []Listener) map[owner.ID]int {
	started := map[owner.ID]int{}
	for i := range listeners {
		started[listeners[i].Owner.ID()]++
		for _, id := range listeners[i].Facts.Ancestors {
			started[id]++
		}
	}
	return started
}

// merged returns the head of a family, and one listener for each of its other ports. The head is the port that people
// most likely mean, see rankOfPort. Among equals it is the preferred one, else the lowest.
func merged(family []Listener, dynamic func(uint16) bool, preferred map[ID]int) (first Listener, also []Listener) {
	if len(family) == 1 {
		return family[0], nil
	}
	main := family[0].Owner.ID()
	less := func(l Listener) int {
		return maxPreference*rankOfPort(l, main, dynamic) - preferred[l.ID()]
	}
	first = slices.MinFunc(family, func(a, b Listener) int {
		return cmp.Or(cmp.Compare(less(a), less(b)), a.Compare(b))
	})
	byPort := func(a, b Listener) int { return cmp.Compare(a.Port, b.Port) }
	sorted := slices.SortedStableFunc(slices.Values(family), byPort)
	for len(sorted) > 0 {
		same := OnPort(sorted, sorted[0].Port)
		sorted = sorted[len(same):]
		l := same[0]
		if l.Port == first.Port {
			l = first
		}
		l.Addrs = nil
		for _, m := range same {
			l.Addrs = append(l.Addrs, m.Addrs...)
			l.Widened = l.Widened || m.Widened
		}
		slices.SortFunc(l.Addrs, netip.Addr.Compare)
		l.Addrs = slices.Compact(l.Addrs)
		if l.Port == first.Port {
			first = l
		} else {
			also = append(also, l)
		}
	}
	for _, l := range family { // a further port may have come back before the head
		first.Restarts = max(first.Restarts, l.Restarts)
	}
	return first, also
}

// maxPreference is greater than the difference of any two preferences.
const maxPreference = 8

// rankOfPort returns how unlikely it is that people mean a port when they name its server. Each reason outweighs all
// later ones: it is a debugger's port, it has another role, the system picked it, it is a helper's, the command line
// does not name it, only this computer can reach it.
func rankOfPort(l Listener, main owner.ID, dynamic func(uint16) bool) (n int) {
	helps := l.Owner.ID() != main && !(l.Facts.Forked && l.Facts.Ancestors[0] == main) // workers do not
	picked := dynamic(l.Port) && !l.named()
	for _, reason := range []bool{l.Inspects(), l.Role() != "", picked, helps, !l.named(), !l.Wildcard()} {
		n <<= 1
		if reason {
			n++
		}
	}
	return n
}

func markShared(servers []Server) {
	users := make(map[uint16][]int, len(servers))
	for i, s := range servers {
		users[s.Port] = append(users[s.Port], i)
		for _, l := range s.Also {
			users[l.Port] = append(users[l.Port], i)
		}
	}
	for i := range servers {
		s := &servers[i]
		s.Shared = len(users[s.Port]) > 1
		if !s.Shared || !isLocalhost(s.Listener) {
			continue
		}
		s.Ambiguous = slices.ContainsFunc(users[s.Port], func(j int) bool {
			return j != i && slices.ContainsFunc(servers[j].Ports(), func(l Listener) bool {
				return l.Port == s.Port && isLocalhost(l)
			})
		})
	}
}

// isLocalhost reports whether the name localhost leads to a listener: it stands for 127.0.0.1 and ::1 (RFC 6761).
func isLocalhost(l Listener) bool {
	return slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool {
		return a.IsUnspecified() || a == netip.IPv6Loopback() || a == netip.AddrFrom4([4]byte{127, 0, 0, 1})
	})
}

// Group returns the processes that a Stop of the server signals.
func (s Server) Group() owner.Group {
	others := slices.DeleteFunc(s.Workers(), s.Owner.Is)
	g := owner.Group{Workers: append([]owner.Process{s.Owner}, others...), IsWorker: facts.IsWorker}
	if s.Master != (owner.ID{}) { // it runs the same program
		g.Master = owner.Process{PID: s.Master.PID, Start: s.Master.Start, Name: s.Owner.Name, Exe: s.Owner.Exe}
	}
	return g
}

// AlsoEnds returns the servers that would end together with s, because one process holds the ports of both.
func (s Server) AlsoEnds(servers []Server) []Server {
	if !s.Facts.Holder {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(servers), func(o Server) bool {
		return !s.Owner.Is(o.Owner) || o.ID() == s.ID()
	})
}
