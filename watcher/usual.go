package watcher

import (
	"slices"
	"time"

	"porttray/watcher/server"
)

const (
	// movedWithin is the maximum age of a server that may have found its usual port taken.
	movedWithin = 10 * time.Second
	// maxUsual is how many servers' usual ports are remembered, and maxUsualPorts how many ports per server.
	maxUsual      = 1000
	maxUsualPorts = 8
)

// A usual holds the ports of servers, by their keys on any port. The latest port is the last.
type usual map[server.Key][]uint16

// moves turns the opening of a server into a move if another server holds its usual port. It is no move if a server
// with the same key holds that port: then one more of the same kind was started.
func (u usual) moves(events []Event, now Snapshot) []Event {
	for i, e := range events {
		key := e.Key().Anywhere()
		young := !e.Owner.Since.IsZero() && now.Time.Sub(e.Owner.Since) <= movedWithin
		if e.Kind != Opened || !young || slices.Contains(u[key], e.Port) {
			continue
		}
		for _, port := range slices.Backward(u[key]) {
			if rival, held := rivalAt(now.Servers, port, key); held {
				events[i].Kind, events[i].Before = Moved, rival
				break
			}
		}
	}
	return events
}

// rivalAt returns another server on a port than the key's. There is none if a server with that key is on the port, too.
func rivalAt(servers []server.Server, port uint16, key server.Key) (rival server.Server, held bool) {
	for _, s := range servers {
		switch {
		case s.Port != port:
		case s.Key().Anywhere() == key:
			return server.Server{}, false
		case s.Owner.Known():
			rival, held = s, true
		}
	}
	return rival, held
}

// note records the port of a server that opened or closed.
func (u usual) note(e Event) {
	if e.Kind != Opened && e.Kind != Closed && e.Kind != Replaced || !e.Owner.Known() {
		return
	}
	if len(u) >= maxUsual {
		clear(u) // this takes months; later openings and closings fill it again
	}
	for _, s := range []server.Server{e.Before, e.Server} {
		if s.Port == 0 {
			continue
		}
		key := s.Key().Anywhere()
		ports := slices.DeleteFunc(u[key], func(p uint16) bool { return p == s.Port })
		u[key] = append(ports[max(0, len(ports)-maxUsualPorts+1):], s.Port)
	}
}
