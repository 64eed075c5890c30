package watcher

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// End stops or, with force, kills the process that l belongs to, or has its engine stop its container, and tells what came of it. Nobody
// is hit unless l's owner, or its container, has l's port at this moment. It blocks for as long as owner.End, whose wait is
// meant; a container has the time to end that it was given when it was started, which mostly is 10 seconds.
func End(ctx context.Context, l Listener, force bool, wait time.Duration) owner.Result {
	if l.Container.ID != "" {
		return endContainer(ctx, l, holders(l.Port))
	}
	return owner.End(ctx, l.Owner, force, wait, holders(l.Port))
}

// holders returns a function that scans anew and returns the owners of the listeners on a port.
func holders(port uint16) func(context.Context) ([]owner.Process, error) {
	return func(ctx context.Context) ([]owner.Process, error) {
		ctx, cancel := context.WithTimeout(ctx, scanLimit)
		defer cancel()
		s, err := scanOnce(ctx, true) // the port is free when no interface leads to it
		return s.Holders(port), err
	}
}

// endContainer has its engine stop the container that publishes l's port, or whose process has it.
func endContainer(ctx context.Context, l Listener, holders func(context.Context) ([]owner.Process, error)) owner.Result {
	port := l.Port
	if l.Hosted() {
		// Nothing is published. So the process must still have the port, and be in the container.
		now, err := holders(ctx)
		in, err2 := owner.ContainerOf(l.Owner)
		switch {
		case err != nil || err2 != nil:
			return owner.Result{Err: cmp.Or(err, err2)}
		case in != l.Container.ID || !slices.ContainsFunc(now, l.Owner.Is):
			return owner.Result{Outcome: owner.AlreadyGone}
		}
		port = 0
	}
	switch err := engine.Stop(ctx, l.Container, port); {
	case errors.Is(err, engine.ErrGone):
		return owner.Result{Outcome: owner.AlreadyGone}
	case errors.Is(err, fs.ErrPermission):
		return owner.Result{Outcome: owner.NotPermitted, Err: err}
	case err != nil:
		return owner.Result{Err: err}
	}
	// Engines in a virtual machine give the port back only a moment later.
	for try := 1; ; try++ {
		now, err := holders(ctx)
		switch {
		case err != nil:
			return owner.Result{Outcome: owner.Unclear, Ended: true, Err: err}
		case len(now) == 0:
			return owner.Result{Outcome: owner.Freed, Ended: true}
		case try < 10:
			time.Sleep(200 * time.Millisecond)
			continue
		case slices.ContainsFunc(now, l.Owner.Is):
			return owner.Result{Outcome: owner.StillRunning, Ended: true}
		}
		return owner.Result{Outcome: owner.Taken, Ended: true, By: now[0]}
	}
}
