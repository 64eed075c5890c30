// Package history records the closed servers of this computer's loopback ports in a small file of this user. For each
// port it records the last server that closed, and how it ended. It also counts the restarts of servers that still
// listen. A [Recorder] writes the file in each watching porttray. [Read] reads it, even in a new porttray.
//
// The file knows only servers that a porttray saw while it was watching. It holds no command lines, arguments or
// environments, because they may be secret.
package history

import (
	"time"

	"porttray/watcher/server"
)

// A Past is the last server that closed on a port. Unknown facts are absent. All texts are free of control characters
// and of bounded length. A shortened text ends in an ellipsis.
type Past struct {
	Port      uint16    `json:"port"`
	PID       int32     `json:"pid,omitempty"`     // another process may have this number now
	Name      string    `json:"name,omitempty"`    // the title in a list: "shop · Vite"
	Project   string    `json:"project,omitempty"` // the name, not the directory
	Tool      string    `json:"tool,omitempty"`
	Process   string    `json:"process,omitempty"`   // the program's short name
	Directory string    `json:"directory,omitempty"` // of the project, else of the process; unknown for a container
	Container string    `json:"container,omitempty"` // the name, else the ID
	Started   time.Time `json:"started,omitzero"`    // when the process started
	Closed    time.Time `json:"closed"`              // when the watcher noticed the end
	Reason    string    `json:"reason,omitempty"`    // of the end: "exited with status 1"; see watcher.Reason
	Restarts  int       `json:"restarts,omitempty"`  // before the end
}

// A History holds the contents of the file. Its zero value is empty.
type History struct {
	seen contents
}

// Read reads the file of this user. Any porttray may have written it, at most a few seconds after the events. Without a
// file the history is empty. Read returns an error and an empty history for an invalid file: too large, not regular,
// malformed, or another user's. The error names the file. Entries are at most 30 days old. Read changes nothing, and
// does not wait for writers.
func Read() (History, error) {
	file, err := File()
	if err != nil {
		return History{}, err
	}
	seen, _, err := load(file, boot(), time.Now())
	return History{seen}, err
}

// Last returns the last server that closed on a port, and false if there is none. A restarted or replaced server has
// closed too. So Last may return a server although the port has a new listener.
func (h History) Last(port uint16) (Past, bool) {
	if i := h.seen.closedOn(port); i >= 0 {
		return h.seen.Closed[i], true
	}
	return Past{}, false
}

// Restarts returns the number of restarts of the server of l. It counts exactly the process or container of l, on its
// port, since this computer started. For an unknown owner it returns l.Restarts.
func (h History) Restarts(l server.Listener) int {
	if id, ok := identity(l); ok {
		return max(l.Restarts, h.seen.restarts(id))
	}
	return l.Restarts
}

// identity identifies a server by its port and its container or process, until this computer restarts. It returns false
// for an unknown owner.
func identity(l server.Listener) (server.ID, bool) {
	t := l.Target()
	id := server.ID{Port: l.Port, PID: t.Process.PID, Start: t.Process.Start, Container: t.Container}
	return id, t != server.Target{}
}
