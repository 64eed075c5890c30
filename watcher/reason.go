package watcher

import (
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// A Cause is the kind of reason why a listener closed.
type Cause int

// The causes.
const (
	Unexplained      Cause = iota // the cause is unknown
	OwnerEnded                    // its process ended
	OwnerGoesOn                   // its process still runs, but no longer listens
	ContainerStopped              // its container ended, or at least its forwarder
)

// A Reason is the reason why a listener closed, as far as known.
type Reason struct {
	Cause Cause
	Exit  owner.Exit // of OwnerEnded
	End   engine.End // of ContainerStopped
	// Supervisor is the program that would start the process again and still runs; empty if there is none.
	Supervisor string
}

// String describes the reason in a few words, fit to show. It is empty if the cause is unknown.
func (r Reason) String() string {
	text := ""
	switch r.Cause {
	case OwnerEnded:
		text = r.Exit.String()
	case OwnerGoesOn:
		text = "still running, no longer listening"
	case ContainerStopped:
		text = "container " + r.End.String()
	}
	if r.Supervisor != "" {
		text += "; " + r.Supervisor + " still runs and waits"
	}
	return text
}

// Lacks reports whether the exit of the process would complete the reason. A container's reason needs no exit: the
// engine ends its forwarder, and the forwarder's exit says nothing about the container.
func (r Reason) Lacks() bool { return r.Exit == (owner.Exit{}) && r.Cause != ContainerStopped }

// Explained returns the reason with the exit of the process, or false if it has none or does not need one.
func (r Reason) Explained(by owner.Process, exits map[owner.ID]owner.Exit) (Reason, bool) {
	exit, ok := exits[by.ID()]
	if !ok || !by.Known() || !r.Lacks() {
		return r, false
	}
	r.Cause, r.Exit = OwnerEnded, exit
	return r, true
}

// ContainerEnded returns the reason with the end of the container of l, if it was lacking and is among the endings. It
// returns false if the reason stays the same. The endings are keyed by container ID.
func (r Reason) ContainerEnded(l server.Listener, endings map[string]engine.End) (Reason, bool) {
	end, ok := endings[l.Container.ID]
	if !ok || l.Container.ID == "" || r.Cause == OwnerGoesOn || r.Cause == ContainerStopped && r.End == end {
		return r, false
	}
	return Reason{Cause: ContainerStopped, End: end}, true
}

// Crashed reports whether the process or the container failed. A process failed if its status is not 0, or if it ended
// by a signal that does not mean a normal end. A container that was asked to end has not crashed.
func (r Reason) Crashed() bool {
	if r.Cause == ContainerStopped {
		return r.End.Crashed()
	}
	switch r.Exit.How {
	case owner.Exited:
		return r.Exit.Status != 0 && r.Exit.Status != hungUp && r.Exit.Status != terminated && !r.Interrupted()
	case owner.Killed:
		return r.Exit.Signal != "SIGINT" && r.Exit.Signal != "SIGTERM" && r.Exit.Signal != "SIGHUP"
	}
	return false
}

// Interrupted reports whether Ctrl-C ended the process.
func (r Reason) Interrupted() bool {
	return r.Exit.How == owner.Killed && r.Exit.Signal == "SIGINT" ||
		r.Exit.How == owner.Exited && (r.Exit.Status == interrupted || r.Exit.Status == controlC)
}

// Exit statuses after a signal: 128 plus its number, and STATUS_CONTROL_C_EXIT on Windows.
const (
	hungUp      = 128 + 1
	interrupted = 128 + 2
	terminated  = 128 + 15
	controlC    = 0xC000013A
)

// maxSupervisor is how many characters of a supervisor's name are shown.
const maxSupervisor = 24

// why returns the reason why a listener closed now. gone reports whether its owner has ended.
func (s *state) why(l server.Listener, gone func(server.Listener) bool) Reason {
	switch {
	case l.Container.ID != "" && !l.Hosted():
		r, _ := Reason{Cause: ContainerStopped}.ContainerEnded(l, s.naming.endings())
		return r
	case !l.Owner.Known():
		return Reason{}
	}
	r := Reason{Cause: OwnerGoesOn}
	if exit, ok := s.now.Exits[l.Owner.ID()]; ok {
		r = Reason{Cause: OwnerEnded, Exit: exit}
	} else if gone(l) {
		r = Reason{Cause: OwnerEnded}
	}
	if ended, ok := r.ContainerEnded(l, s.naming.endings()); ok { // a process in the container listened
		return ended
	}
	by := l.Facts.Supervisor
	if r.Cause == OwnerEnded && by.Name != "" && !(owner.Process{PID: by.PID, Start: by.Start}).Gone() {
		r.Supervisor = owner.Printable(by.Name, maxSupervisor)
	}
	return r
}
