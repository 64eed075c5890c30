package owner

import "fmt"

// An Exit says how a process ended, as far as the system tells. The zero value means unknown. It is comparable.
type Exit struct {
	How    How
	Status int    // of Exited
	Signal string // of Killed: "SIGKILL", or "signal 42" for a signal without a name
}

// A How is a way to end.
type How int

// The ways to end.
const (
	Unknown How = iota
	Exited      // by itself, with a status
	Killed      // by a signal
)

// String describes the exit in a few words: "exited with status 1", "killed by SIGKILL", "ended".
func (e Exit) String() string {
	switch e.How {
	case Exited:
		return fmt.Sprintf("exited with status %d", e.Status)
	case Killed:
		return "killed by " + e.Signal
	}
	return "ended"
}
