package watcher

import (
	"net/netip"
	"slices"

	"porttray/watcher/server"
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
	ranks := make(map[server.ID]int, len(old.Servers)) // of the heads that continue, by their IDs in new
	for _, s := range old.Servers {
		if head, ok := goesOn(s, new.Listeners, old.Listeners); !ok {
			events = append(events, Event{Kind: Closed, Server: s})
		} else if !s.Rest {
			ranks[head.ID()] = s.Rank
		}
	}
	known := func(l server.Listener, rank int) bool { was, ok := ranks[l.ID()]; return ok && was <= rank }
	for _, s := range new.Servers {
		if _, ok := goesOn(s, old.Listeners, new.Listeners); !ok {
			if !slices.ContainsFunc(s.Parts, func(l server.Listener) bool { return known(l, s.Rank) }) {
				events = append(events, Event{Kind: Opened, Server: s})
			}
		} else if before, ok := widenedFrom(s, old, new); ok {
			events = append(events, Event{Kind: Exposed, Server: s, Before: before})
		}
	}
	return events
}

// goesOn returns the counterpart of a listener on the server's head port in the other list, if there is one.
func goesOn(s server.Server, other, mine []server.Listener) (server.Listener, bool) {
	for _, l := range s.Parts {
		if l.Port == s.Port {
			if m, ok := counterpart(l, other, mine); ok {
				return m, true
			}
		}
	}
	return server.Listener{}, false
}

// widenedFrom returns the old server if other machines can reach one of its ports only since then.
func widenedFrom(s server.Server, old, new Snapshot) (server.Server, bool) {
	for _, l := range s.Parts {
		if !l.Exposed() {
			continue
		}
		before, ok := counterpart(l, old.Listeners, new.Listeners)
		if !ok || before.Exposed() {
			continue
		}
		for _, o := range old.Servers {
			if server.HasID(o.Parts, before.ID()) {
				return o, true
			}
		}
	}
	return server.Server{}, false
}

// counterpart returns the listener in the other list that is the same as l, one of mine. It is the listener with the
// same ID. Otherwise it has a common address, and only one of the two owners is known. Or another process of the same
// program holds the same socket, because workers continue after their master. A listener with its own match by ID is
// no other's counterpart. Both lists are sorted.
func counterpart(l server.Listener, other, mine []server.Listener) (server.Listener, bool) {
	candidates := server.OnPort(other, l.Port)
	if i := server.IndexID(candidates, l.ID()); i >= 0 {
		return candidates[i], true
	}
	for _, m := range candidates {
		passed := m.Socket == l.Socket && l.Socket != 0 && m.Owner.Exe == l.Owner.Exe && l.Owner.Exe != ""
		found := m.Owner.Known() != l.Owner.Known() && overlap(l.Addrs, m.Addrs)
		if (found || passed) && !server.HasID(server.OnPort(mine, m.Port), m.ID()) {
			return m, true
		}
	}
	return server.Listener{}, false
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
func confirm(believed []server.Listener, doubted map[server.ID]doubt, seen []server.Listener,
	gone func(server.Listener) bool) ([]server.Listener, map[server.ID]doubt) {
	var kept []server.Listener
	doubts, hidden := map[server.ID]doubt{}, map[server.ID]bool{}
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
	result := slices.DeleteFunc(slices.Clone(seen), func(l server.Listener) bool { return hidden[l.ID()] })
	result = append(result, kept...)
	slices.SortFunc(result, server.Listener.Compare)
	return result, doubts
}

// overlap reports whether two lists of addresses have one in common.
func overlap(a, b []netip.Addr) bool {
	return slices.ContainsFunc(a, func(addr netip.Addr) bool { return slices.Contains(b, addr) })
}
