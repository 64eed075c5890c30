package watcher

import (
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// A Cause is the kind of reason for which a listener closed.
type Cause int

// The causes.
const (
	Unexplained      Cause = iota // it cannot be told
	OwnerEnded                    // its process ended
	OwnerGoesOn                   // its process runs on, and no longer listens
	ContainerStopped              // its container ended, or at least what forwarded to it
)

// A Reason says why a listener closed, as far as that is known.
type Reason struct {
	Cause Cause
	Exit  owner.Exit // of OwnerEnded
	End   engine.End // of ContainerStopped
	// Supervisor is the program that would start the process again and still runs; empty if there is none.
	Supervisor string
}

// String says it in a few words, or nothing if it is not known. The supervisor's name is fit to show.
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

// Lacks reports whether it would be told better by how the process ended. What forwards to a container is ended by the engine, and
// how says nothing of the container.
func (r Reason) Lacks() bool { return r.Exit == (owner.Exit{}) && r.Cause != ContainerStopped }

// Explained returns the reason with how the process ended, if that is among the exits and was lacking; false if it stays as it was.
func (r Reason) Explained(by owner.Process, exits map[owner.ID]owner.Exit) (Reason, bool) {
	exit, ok := exits[by.ID()]
	if !ok || !by.Known() || !r.Lacks() {
		return r, false
	}
	r.Cause, r.Exit = OwnerEnded, exit
	return r, true
}

// ContainerEnded returns the reason with how the container of l ended, if that is among the endings and was lacking; false if it
// stays as it was. The endings are those of the containers, by their IDs.
func (r Reason) ContainerEnded(l Listener, endings map[string]engine.End) (Reason, bool) {
	end, ok := endings[l.Container.ID]
	if !ok || l.Container.ID == "" || r.Cause == OwnerGoesOn || r.Cause == ContainerStopped && r.End == end {
		return r, false
	}
	return Reason{Cause: ContainerStopped, End: end}, true
}

// Crashed reports whether the process or the container failed: it returned a status other than 0, or a signal ended it that people do
// not send to have a program end in good order. A container that was asked to end has not crashed.
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

// Interrupted reports whether the process ended by what Ctrl-C sends.
func (r Reason) Interrupted() bool {
	return r.Exit.How == owner.Killed && r.Exit.Signal == "SIGINT" ||
		r.Exit.How == owner.Exited && (r.Exit.Status == interrupted || r.Exit.Status == controlC)
}

// The statuses by which programs, as shells do, say that they ended for a signal: 128 and its number. Windows has a status of its
// own for Ctrl-C (STATUS_CONTROL_C_EXIT).
const (
	hungUp      = 128 + 1
	interrupted = 128 + 2
	terminated  = 128 + 15
	controlC    = 0xC000013A
)

// why returns why a listener closed that was there until now. gone says whether its owner has ended.
func (s *state) why(l Listener, gone func(Listener) bool) Reason {
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
	if ended, ok := r.ContainerEnded(l, s.naming.endings()); ok { // a process in it listened
		return ended
	}
	if by := l.Facts.Supervisor; r.Cause == OwnerEnded && by.Name != "" && !(owner.Process{PID: by.PID, Start: by.Start}).Gone() {
		r.Supervisor = owner.Printable(by.Name, maxPart)
	}
	return r
}
