package tray

import (
	"slices"

	"porttray/watcher/server"
)

// missing returns the servers of the main list that closed during a sleep and are still missing. If a server closed
// more than once, the last time counts.
func (j *judge) missing(servers []server.Server) (missing []server.Server) {
	seen := map[server.Key]bool{}
	for _, l := range slices.Backward(j.lostAsleep) {
		k := l.Listener.Key()
		again := seen[k]
		seen[k] = true
		back := slices.ContainsFunc(servers, func(s server.Server) bool { return s.Listener.Key() == k })
		if !back && !again && l.Section == server.Main && !j.ignored(l.Listener) {
			missing = append(missing, l)
		}
	}
	slices.Reverse(missing)
	return missing
}

// only returns the wanted part of h, if there is any. For slept that may be some of the servers.
func (h happening) only(wanted func(happening) bool) (happening, bool) {
	if h.kind != slept {
		return h, wanted(h)
	}
	unwanted := func(s server.Server) bool { return !wanted(happening{kind: slept, at: h.at, on: s}) }
	gone := slices.DeleteFunc(h.all(), unwanted)
	if len(gone) == 0 {
		return h, false
	}
	h.on, h.more = gone[0], gone[1:]
	return h, true
}

// forgive drops the closing of a server during a sleep, because the person ended it since.
func (j *judge) forgive(l server.Listener) {
	j.lostAsleep = slices.DeleteFunc(j.lostAsleep, func(s server.Server) bool { return s.Listener.Key() == l.Key() })
}
