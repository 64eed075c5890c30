package watcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// End stops or, with force, kills the processes of the server, or makes its engine stop its container, and returns the
// result. It hits nobody unless the server's processes, or its container, have its port at this moment. It also hits
// nobody if another server would end as well. End blocks as long as owner.End does with the same wait. A container has
// its own stop timeout, mostly 10 seconds.
func End(ctx context.Context, s server.Server, force bool, wait time.Duration) owner.Result {
	if s.Container.ID != "" {
		return endContainer(ctx, s)
	}
	if s.Facts.Holder { // this reason says more than those of owner.End
		var refusal owner.Refusal
		if _, err := holdersOf(ctx, s); errors.As(err, &refusal) {
			return owner.Result{Outcome: owner.Refused, Reason: string(refusal)}
		}
	}
	holders := func(ctx context.Context) ([]owner.Process, error) { return holdersOf(ctx, s) }
	return owner.End(ctx, s.Group(), force, wait, holders)
}

// holdersOf scans anew and returns the owners of the listeners on the server's port. The error can be an owner.Refusal.
func holdersOf(ctx context.Context, s server.Server) ([]owner.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	now, err := scanOnce(ctx, true) // the port is free when no interface leads to it
	if err == nil {
		err = spare(ctx, s, now.Listeners)
	}
	return now.Holders(s.Port), err
}

// spare returns an owner.Refusal that names the other servers in the scan that would end together with s, if any.
func spare(ctx context.Context, s server.Server, now []server.Listener) error {
	group := s.Group()
	var others []string
	for _, l := range now {
		part := s.Has(l.Owner)
		switch {
		case !l.Owner.Known():
		case part && s.Facts.Holder && l.Port != s.Port:
			l.Facts = s.Facts
			others = append(others, fmt.Sprintf("%s :%d", l.Name(), l.Port))
		case part || !group.Master.Known():
		case l.Owner.Is(group.Master),
			owner.Descends(l.Owner, group.Master) && (l.Port != s.Port || !facts.IsWorker(ctx, l.Owner, group.Master)):
			others = append(others, fmt.Sprintf("%s :%d", l.Name(), l.Port))
		}
	}
	if len(others) == 0 {
		return nil
	}
	reason := "also serves " + owner.Printable(strings.Join(others, ", "), 80)
	if s.Owner.Refusal != "" {
		reason += "; " + s.Owner.Refusal
	}
	return owner.Refusal(reason)
}

// endContainer makes the engine stop the container that publishes the server's port, or whose process holds it.
func endContainer(ctx context.Context, s server.Server) owner.Result {
	before, err := holdersOf(ctx, s)
	if err != nil {
		return owner.Result{Err: err}
	}
	port := s.Port
	if s.Hosted() { // without a published port, the process must still hold it, inside the container
		in, err := owner.ContainerOf(s.Owner)
		switch {
		case err != nil:
			return owner.Result{Err: err}
		case in != s.Container.ID || !slices.ContainsFunc(before, s.Owner.Is):
			return owner.Result{Outcome: owner.AlreadyGone}
		}
		port = 0
	}
	switch err := engine.Stop(ctx, s.Container, port); {
	case errors.Is(err, engine.ErrGone):
		return owner.Result{Outcome: owner.AlreadyGone}
	case errors.Is(err, fs.ErrPermission):
		return owner.Result{Outcome: owner.NotPermitted, Err: err}
	case err != nil:
		return owner.Result{Err: err}
	}
	var forwarders []owner.Process
	for _, l := range append([]server.Listener{s.Listener}, s.Parts...) {
		forwarders = append(forwarders, l.Owner)
	}
	// Engines in a virtual machine release the port a moment later.
	for try := 1; ; try++ {
		now, err := holdersOf(ctx, s)
		r := owner.Judge(forwarders, before, now)
		if r.Ended = true; err != nil {
			r = owner.Result{Outcome: owner.Unclear, Ended: true, Err: err}
		}
		if r.Outcome != owner.StillRunning && r.Outcome != owner.Taken || try == 10 {
			return r
		}
		time.Sleep(200 * time.Millisecond)
	}
}
