package watcher

import (
	"net/netip"
	"slices"
	"sort"
)

// Diff returns the events that turn the servers of old into those of new: first closed, then opened or exposed, each in
// port order. A Watcher, with its knowledge of time, makes restarts, replacements and moves from them.
//
// A server continues while one of the sockets on its head port does. If another of its ports becomes the head, that is
// an event only if people are more likely to mean the new port: a server has opened behind its debugger. A socket with
// changed addresses is still the same. So is a socket whose owner became known or unknown: a scan sees sockets before
// their owner, and a process can become hidden.
func Diff(old, new Snapshot) []Event {
	var events []Event
	ranks := make(map[ID]int, len(old.Servers)) // of the heads that continue, by their IDs in new
	for _, s := range old.Servers {
		if head, ok := s.goesOn(new.Listeners, old.Listeners); !ok {
			events = append(events, Event{Kind: Closed, Server: s})
		} else if !s.Rest {
			ranks[head.ID()] = s.rank
		}
	}
	known := func(l Listener, rank int) bool { was, ok := ranks[l.ID()]; return ok && was <= rank }
	for _, s := range new.Servers {
		if _, ok := s.goesOn(old.Listeners, new.Listeners); !ok {
			if !slices.ContainsFunc(s.Parts, func(l Listener) bool { return known(l, s.rank) }) {
				events = append(events, Event{Kind: Opened, Server: s})
			}
		} else if before, ok := s.widened(old, new); ok {
			events = append(events, Event{Kind: Exposed, Server: s, Before: before})
		}
	}
	return events
}

// goesOn returns the counterpart of a listener on the server's head port in the other list, if there is one.
func (s Server) goesOn(other, mine []Listener) (Listener, bool) {
	for _, l := range s.Parts {
		if l.Port == s.Port {
			if m, ok := counterpart(l, other, mine); ok {
				return m, true
			}
		}
	}
	return Listener{}, false
}

// widened returns the old server if other machines can reach one of its ports only since then.
func (s Server) widened(old, new Snapshot) (Server, bool) {
	for _, l := range s.Parts {
		if !l.Exposed() {
			continue
		}
		before, ok := counterpart(l, old.Listeners, new.Listeners)
		if !ok || before.Exposed() {
			continue
		}
		for _, o := range old.Servers {
			if hasID(o.Parts, before.ID()) {
				return o, true
			}
		}
	}
	return Server{}, false
}

// counterpart returns the listener in the other list that is the same as l, one of mine. It is the listener with the
// same ID. Otherwise it has a common address, and only one of the two owners is known. Or another process of the same
// program holds the same socket, because workers continue after their master. A listener with its own match by ID is
// no other's counterpart. Both lists are sorted.
func counterpart(l Listener, other, mine []Listener) (Listener, bool) {
	candidates := onPort(other, l.Port)
	if i := indexID(candidates, l.ID()); i >= 0 {
		return candidates[i], true
	}
	for _, m := range candidates {
		passed := m.socket == l.socket && l.socket != 0 && m.Owner.Exe == l.Owner.Exe && l.Owner.Exe != ""
		found := m.Owner.Known() != l.Owner.Known() && overlap(l.Addrs, m.Addrs)
		if (found || passed) && !hasID(onPort(mine, m.Port), m.ID()) {
			return m, true
		}
	}
	return Listener{}, false
}

// onPort returns the part of a sorted list on a port. It copies no listener, because they are large.
func onPort(sorted []Listener, port uint16) []Listener {
	i := sort.Search(len(sorted), func(i int) bool { return sorted[i].Port >= port })
	j := i
	for j < len(sorted) && sorted[j].Port == port {
		j++
	}
	return sorted[i:j]
}

func indexID(list []Listener, id ID) int {
	for i := range list {
		if list[i].Port == id.Port && list[i].ID() == id {
			return i
		}
	}
	return -1
}

func hasID(list []Listener, id ID) bool { return indexID(list, id) >= 0 }

func overlap(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

// A doubt is the reason why a listener is kept although the last scan did not confirm it.
type doubt int

const (
	missing doubt = iota + 1 // the scan did not list it
	unseen                   // the scan listed it with a hidden owner
)

// confirm returns the new state after a complete scan, and the listeners in doubt. The scan found seen; the state so
// far was believed. A missing listener counts as closed if its owner is gone, or if the scan before lacked it, too:
// "closed" takes two scans that agree. A listener with a newly hidden owner stays unchanged for one scan, because the
// sockets of an ending process lose their owner before they close. If an unseen owner did replace an owner that is
// gone, the old listener closes first and the next scan opens the new one.
func confirm(believed []Listener, doubted map[ID]doubt, seen []Listener,
	gone func(Listener) bool) ([]Listener, map[ID]doubt) {
	var kept []Listener
	doubts, hidden := map[ID]doubt{}, map[ID]bool{}
	for _, l := range believed {
		why := missing
		now, ok := counterpart(l, seen, believed)
		switch {
		case ok && (now.Owner.Known() || !l.Owner.Known()):
			continue
		case ok:
			why = unseen
			if doubted[l.ID()] == unseen {
				if gone(l) {
					hidden[now.ID()] = true
				}
				continue
			}
			hidden[now.ID()] = true
		case doubted[l.ID()] == missing || gone(l):
			continue
		}
		kept = append(kept, l)
		doubts[l.ID()] = why
	}
	if len(kept) == 0 && len(hidden) == 0 {
		return seen, doubts
	}
	result := slices.DeleteFunc(slices.Clone(seen), func(l Listener) bool { return hidden[l.ID()] })
	result = append(result, kept...)
	slices.SortFunc(result, Listener.compare)
	return result, doubts
}
