// Package history remembers what listened on this computer's loopback ports lately, in a small file of this user's: the server
// that was last seen to close on a port, how it ended, and how often servers that still listen were seen to restart. A [Recorder]
// writes the file, in whichever porttray watches; [Read] reads it, in one that has only just been started.
//
// What is remembered is what was seen: nobody knows what listened while no porttray was watching. The file holds no command
// lines, arguments or environments, which may be secret.
package history

import (
	"time"

	"porttray/watcher"
)

// A Past is the last server that was seen to close on a port. A fact that was not known is absent. All texts are fit to show
// and of bounded length; what was longer ends in an ellipsis.
type Past struct {
	Port      uint16    `json:"port"`
	PID       int32     `json:"pid,omitempty"`     // that it had: another process may have it by now
	Name      string    `json:"name,omitempty"`    // whose server it was, as in a list: "shop · Vite"
	Project   string    `json:"project,omitempty"` // the name, not the directory
	Tool      string    `json:"tool,omitempty"`
	Process   string    `json:"process,omitempty"`   // the program's short name
	Directory string    `json:"directory,omitempty"` // of the project, else of the process; of a container it is not known
	Container string    `json:"container,omitempty"` // the name, or the ID of one without
	Started   time.Time `json:"started,omitzero"`    // when the process started
	Closed    time.Time `json:"closed"`              // when it was seen that it had closed
	Reason    string    `json:"reason,omitempty"`    // why, as of then: "exited with status 1"; see watcher.Reason
	Restarts  int       `json:"restarts,omitempty"`  // how often it had been seen to restart before
}

// A History is what was seen. Its zero value is that of a computer on which nothing was.
type History struct {
	seen contents
}

// Read reads what any porttray of this user has written down, at most some seconds after it was seen; where none has, the history
// is empty. A file that is too large or makes no sense, that is no regular file or another user's, is an error that names it, and
// the history is empty then. Nothing in it is older than 30 days. Read changes nothing and does not wait for those who write.
func Read() (History, error) {
	file, err := File()
	if err != nil {
		return History{}, err
	}
	seen, _, err := load(file, boot(), time.Now())
	return History{seen}, err
}

// Last returns the last server that was seen to close on a port, and false if none was. One that restarted or was replaced had
// closed as well; so there may be one where something listens again.
func (h History) Last(port uint16) (Past, bool) {
	if i := h.seen.closedOn(port); i >= 0 {
		return h.seen.Closed[i], true
	}
	return Past{}, false
}

// Restarts returns how often the server that l is was seen to restart. It counts for exactly the process or container that l
// tells of, on its port and since the start of this computer; of an owner that is not known it is what l itself says.
func (h History) Restarts(l watcher.Listener) int {
	if id, ok := identity(l); ok {
		return max(l.Restarts, h.seen.restarts(id))
	}
	return l.Restarts
}

// identity names the server on a port while this computer runs: by its container or process. It is false for an unknown owner.
func identity(l watcher.Listener) (watcher.ID, bool) {
	t := l.Target()
	return watcher.ID{Port: l.Port, PID: t.Process.PID, Start: t.Process.Start, Container: t.Container}, t != watcher.Target{}
}
