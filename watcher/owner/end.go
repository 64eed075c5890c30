package owner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v3/process"
)

// An Outcome says what came of ending a process.
type Outcome int

// The outcomes of End.
const (
	Failed       Outcome = iota // nothing was signalled, because of the error that comes with it
	Unclear                     // signalled, but the error that comes with it kept the result from being seen
	Refused                     // nothing was signalled: the process is one that is never signalled
	AlreadyGone                 // nothing was signalled: the process has ended or no longer holds the port
	NotPermitted                // the system did not allow the signal
	StillRunning                // signalled, but it holds the port even now
	Freed                       // it holds the port no longer, and no newcomer does
	Taken                       // it holds the port no longer, but a newcomer does
)

// A Result is an Outcome with what belongs to it.
type Result struct {
	Outcome Outcome
	Reason  string  // for Refused: why, in plain words
	Ended   bool    // once signalled: the process has ended, rather than just let go of the port or nothing at all
	By      Process // for Taken: who holds the port now
	Err     error   // for Failed, Unclear and NotPermitted
}

// Wait is how long End watches what a signal does, unless somebody wants it otherwise.
const Wait = 5 * time.Second

// End asks p to end (SIGTERM), or with force makes it end (SIGKILL; on Windows there is nothing else), and tells what came of
// it. It never escalates by itself. It blocks until the port is free, but no longer than wait after the signal, plus the time
// of two scans.
//
// holders scans anew and returns the owners of all listeners on the port in question. End calls it before the signal, because
// only a process that holds that port at this moment may be hit, and afterwards to see the result.
//
// Whoever is hit is exactly p: the process is pinned first (a pidfd on Linux, a handle on Windows), then its start is compared
// and the port checked, and the signal goes through the pin, so that a PID that is reused in between hits nobody. macOS has no
// such pin; there the start is compared once more right before the signal. A process that runs another program by now (execve(2))
// is not what p was.
func End(ctx context.Context, p Process, force bool, wait time.Duration, holders func(context.Context) ([]Process, error)) Result {
	if !force && !CanStop() {
		return Result{Outcome: Refused, Reason: "this system can only kill"}
	}
	pin, result, ok := aim(ctx, p)
	if !ok {
		return result
	}
	defer pin.Release() // only gives the handle back

	before, err := holders(ctx)
	if err != nil {
		return Result{Err: fmt.Errorf("see who holds the port: %w", err)}
	}
	if !slices.ContainsFunc(before, p.Is) || p.Gone() || replaced(ctx, p) {
		return Result{Outcome: AlreadyGone}
	}
	signal := os.Kill
	if !force {
		signal = syscall.SIGTERM
	}
	switch err := pin.Signal(signal); {
	case errors.Is(err, os.ErrProcessDone), err != nil && p.Gone(): // to Windows that is a lack of permission
		return Result{Outcome: AlreadyGone}
	case errors.Is(err, os.ErrPermission):
		return Result{Outcome: NotPermitted, Err: err}
	case err != nil:
		return Result{Err: err}
	}
	return watch(ctx, p, before, wait, holders)
}

// aim pins p and returns the pin, or why p is not to be signalled.
func aim(ctx context.Context, p Process) (*os.Process, Result, bool) {
	if !p.Known() {
		return nil, Result{Outcome: Refused, Reason: "its process is unknown"}, false
	}
	pin, err := os.FindProcess(int(p.PID))
	if err != nil {
		switch {
		case p.Gone():
			return nil, Result{Outcome: AlreadyGone}, false
		case errors.Is(err, os.ErrPermission):
			return nil, Result{Outcome: NotPermitted, Err: err}, false
		}
		return nil, Result{Err: err}, false
	}
	// Read afresh: what was known when the row was made may be old, and whose process it is can change.
	now, err := Read(ctx, p.PID)
	switch {
	case errors.Is(err, os.ErrProcessDone), err == nil && (!now.Is(p) || otherProgram(p.Exe, now.Exe)), p.Gone():
		_ = pin.Release()
		return nil, Result{Outcome: AlreadyGone}, false
	case err != nil:
		_ = pin.Release()
		return nil, Result{Err: err}, false
	case now.Refusal != "":
		_ = pin.Release()
		return nil, Result{Outcome: Refused, Reason: now.Refusal}, false
	}
	return pin, Result{}, true
}

// replaced reports whether p is known to run another program than it did. Elsewhere than on Linux that takes long, or cannot be.
func replaced(ctx context.Context, p Process) bool {
	if runtime.GOOS != "linux" {
		return false
	}
	exe, err := (&process.Process{Pid: p.PID}).ExeWithContext(ctx)
	return err == nil && otherProgram(p.Exe, exe)
}

// otherProgram reports whether a process that ran one file and now another runs another program. One that cannot be read says
// nothing, and neither does one that was deleted meanwhile, as when a program is built anew.
func otherProgram(then, now string) bool {
	const deleted = " (deleted)" // see proc_pid_exe(5)
	return then != "" && now != "" && strings.TrimSuffix(then, deleted) != strings.TrimSuffix(now, deleted)
}

// watch follows what a signal to p does, for as long as wait. Looking at the process is cheap and done often; a scan of all
// listeners is not: one is made when the process has ended, and otherwise each second. A single scan is believed only when it
// says that the ended process left the port free; anything else is looked at twice.
func watch(ctx context.Context, p Process, before []Process, wait time.Duration, holders func(context.Context) ([]Process, error)) Result {
	end := time.NewTimer(wait)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	pause := time.Second
	scanned := time.Now()
	sure := Result{Outcome: StillRunning}
	last := sure
	for {
		select {
		case <-ctx.Done():
			return sure
		case <-end.C:
			sure.Ended = p.Gone()
			return sure
		case <-tick.C:
		}
		gone := p.Gone()
		if !gone && time.Since(scanned) < pause {
			continue
		}
		now, err := holders(ctx)
		scanned = time.Now()
		r := judge(p, before, now)
		if err != nil {
			r = Result{Outcome: Unclear, Err: fmt.Errorf("see who holds the port: %w", err)}
		}
		r.Ended = gone
		free := r.Outcome == Freed || r.Outcome == Taken
		switch {
		case r.Outcome == Freed && gone, free && r == last:
			return r
		case free:
			pause = 100 * time.Millisecond
		default:
			sure, pause = r, time.Second
		}
		last = r
	}
}

// judge compares the holders of a port before and after p was signalled.
func judge(p Process, before, after []Process) Result {
	if slices.ContainsFunc(after, p.Is) {
		return Result{Outcome: StillRunning}
	}
	for _, other := range after {
		if !slices.ContainsFunc(before, other.Is) {
			return Result{Outcome: Taken, By: other}
		}
	}
	return Result{Outcome: Freed}
}
