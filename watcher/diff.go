package watcher

import (
	"cmp"
	"net/netip"
	"slices"
)

// Diff returns the events that turn old into new, closed before opened, each in port order. Both must be sorted, as every
// snapshot of this package is.
//
// A listener whose addresses changed is still the same. So is one whose owner came to be known, or ceased to be: sockets are
// seen before their owner is, and a process can withdraw from view.
func Diff(old, new Snapshot) []Event {
	var events []Event
	for _, l := range old.Listeners {
		if _, ok := counterpart(l, new.Listeners, old.Listeners); !ok {
			events = append(events, Event{Closed, l})
		}
	}
	for _, l := range new.Listeners {
		if _, ok := counterpart(l, old.Listeners, new.Listeners); !ok {
			events = append(events, Event{Opened, l})
		}
	}
	return events
}

// counterpart finds in the other list what l, one of mine, is there: the listener of the same name, or one with a common
// address of which only one of the two knows the owner. A listener that has a namesake of its own is nobody else's counterpart.
// Both lists are sorted.
func counterpart(l Listener, other, mine []Listener) (Listener, bool) {
	candidates := onPort(other, l.Port)
	if i := slices.IndexFunc(candidates, func(m Listener) bool { return m.ID() == l.ID() }); i >= 0 {
		return candidates[i], true
	}
	for _, m := range candidates {
		if m.Owner.Known() != l.Owner.Known() && overlap(l.Addrs, m.Addrs) && !hasID(onPort(mine, m.Port), m.ID()) {
			return m, true
		}
	}
	return Listener{}, false
}

// onPort returns the part of a sorted list that is on a port.
func onPort(sorted []Listener, port uint16) []Listener {
	i, _ := slices.BinarySearchFunc(sorted, port, func(l Listener, p uint16) int { return cmp.Compare(l.Port, p) })
	j := i
	for j < len(sorted) && sorted[j].Port == port {
		j++
	}
	return sorted[i:j]
}

func hasID(list []Listener, id ID) bool {
	return slices.ContainsFunc(list, func(l Listener) bool { return l.ID() == id })
}

func overlap(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}

// confirm returns what to believe after a complete scan found seen where believed was the state so far, and which of it is in
// doubt. A listener that is missing counts as closed only when its owner is gone or when it was in doubt already: "closed"
// takes two scans that agree. A listener whose owner can no longer be seen is kept as it was for one scan, because the sockets
// of a process that is just ending lose their owner before they close.
func confirm(believed []Listener, doubted map[ID]bool, seen []Listener, gone func(Listener) bool) ([]Listener, map[ID]bool) {
	result := slices.Clone(seen)
	doubt := map[ID]bool{}
	for _, l := range believed {
		now, ok := counterpart(l, seen, believed)
		if ok && (now.Owner.Known() || !l.Owner.Known()) || doubted[l.ID()] {
			continue
		}
		if ok { // its owner has disappeared from view
			result = slices.DeleteFunc(result, func(m Listener) bool { return m.ID() == now.ID() })
		} else if gone(l) {
			continue
		}
		result = append(result, l)
		doubt[l.ID()] = true
	}
	slices.SortFunc(result, Listener.compare)
	return result, doubt
}
