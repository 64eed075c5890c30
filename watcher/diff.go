package watcher

import (
	"net/netip"
	"slices"
	"sort"
)

// Diff returns the events that turn the servers of old into those of new: what closed, then what opened or was exposed, each in
// port order. A Watcher makes restarts, replacements and moves of these, because it knows of time.
//
// A server goes on as long as one of the sockets on its head port does. If another one of its ports becomes the head, that is an
// event only if people are more likely to mean the new one: a server has opened behind its debugger. A socket whose addresses changed is still the same. So is
// one whose owner came to be known, or ceased to be: sockets are seen before their owner is, and a process can withdraw from view.
func Diff(old, new Snapshot) []Event {
	var events []Event
	ranks := make(map[ID]int, len(old.Servers)) // of the heads that go on, by their names in new
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

// goesOn returns what one of the listeners on the server's head port is in the other list, if any is there.
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

// widened returns what the server was before if one of its ports came to be reachable from other machines since.
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

// counterpart finds in the other list what l, one of mine, is there: the listener of the same name, or one with a common
// address of which only one of the two knows the owner, or the same socket held by another process of the same program: workers
// go on when their master has ended. A listener that has a namesake of its own is nobody else's counterpart. Both lists are sorted.
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

// onPort returns the part of a sorted list that is on a port. It copies no listener, because they are large.
func onPort(sorted []Listener, port uint16) []Listener {
	i := sort.Search(len(sorted), func(i int) bool { return sorted[i].Port >= port })
	j := i
	for j < len(sorted) && sorted[j].Port == port {
		j++
	}
	return sorted[i:j]
}

// indexID returns where the listener of that name is in a list, or -1.
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

// A doubt is why a listener is still believed in although the last scan did not confirm it.
type doubt int

const (
	missing doubt = iota + 1 // it was not there
	unseen                   // it was, but with an owner that cannot be seen
)

// confirm returns what to believe after a complete scan found seen where believed was the state so far, and which of it is in
// doubt. A listener that is missing counts as closed only when its owner is gone or when it was missing in the scan before:
// "closed" takes two scans that agree. A listener whose owner can no longer be seen is kept as it was for one scan, because the
// sockets of a process that is just ending lose their owner before they close. Should an unseen owner really have taken the
// place of one that is gone, then that one is closed first, and the other opened by the next scan.
func confirm(believed []Listener, doubted map[ID]doubt, seen []Listener, gone func(Listener) bool) ([]Listener, map[ID]doubt) {
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
