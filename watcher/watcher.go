// Package watcher lists the servers on loopback and tells of their changes.
//
// A listener passes five stations from its socket to a menu row:
//
//  1. A scan lists the listening TCP sockets and groups them by port and process. Once a second is enough: Linux
//     answers by sock_diag, macOS by libproc, Windows through gopsutil. On Linux a
//     scan searches owners only for new sockets, or if a check fails.
//     If several processes share a socket, the topmost one is its owner. A closed listener needs proof: its process
//     ended, or a second scan agrees.
//  2. Naming finds out whose process it is, once for each process: project and tool, and the container behind a
//     forwarder. See packages facts, project and engine. An update waits at most half a second for that.
//  3. Listeners that belong together form a [server.Server]: all ports of a process and its helpers, workers that
//     share a port, all ports of a container. One port is the head.
//  4. [Diff] compares the servers with those delivered before. Each change is one [Event]. If too little is known
//     about a server, its row comes at once and its event later, mostly within six seconds.
//  5. A [Watcher] delivers an [Update] with the new state and the events. Package tray turns it into a menu and
//     notices. Package terminal prints it.
//
// [Look] does stations one to three once. [End] stops a server: it pins each process, compares it with the one that
// was shown, scans once more, and sends the signal through the pin.
//
// The package does not depend on menus or terminals.
package watcher

import (
	"slices"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// A Snapshot is the result of one scan: every listener once, sorted by port and owner.
type Snapshot struct {
	Time      time.Time // when the scan ended; zero if there was none yet
	Listeners []server.Listener
	// Servers are the listeners grouped by server, in port order. A scan leaves them out.
	Servers []server.Server
	Source  string // "sock_diag", "/proc/net/tcp", "libproc" or "gopsutil"
	// Searching says that the next scan may find an owner after a long search, or the exit status of one that ended.
	Searching bool
	// Exits holds the known exits of owners within the last minute. It may be nil, and it is never modified.
	Exits map[owner.ID]owner.Exit
}

// Find returns the listener with that ID.
func (s Snapshot) Find(id server.ID) (server.Listener, bool) {
	on := server.OnPort(s.Listeners, id.Port)
	if i := server.IndexID(on, id); i >= 0 {
		return on[i], true
	}
	return server.Listener{}, false
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
	for _, l := range server.OnPort(s.Listeners, port) {
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
	Kind          Kind
	server.Server // as it is; for Closed and Explained as it was last seen
	// Before is the earlier server of Restarted, Replaced and Exposed. For Moved it is the server on the usual port.
	Before server.Server
	Reason Reason // for Closed, Restarted, Replaced and Explained: why the server ended
}

// Widened returns the port of an exposed server that became reachable from other machines: the head, if several did.
func (e Event) Widened() server.Listener {
	for _, l := range e.Ports() {
		at := e.Before.On(l.Port)
		if l.Exposed() && len(at) > 0 && !slices.ContainsFunc(at, server.Listener.Exposed) {
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
