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
	Refused                     // nothing was signalled: one of the group is never signalled, or somebody else would end as well
	AlreadyGone                 // nothing was signalled: the group has ended or no longer holds the port
	NotPermitted                // the system did not allow the signal
	StillRunning                // signalled, but some of the group hold the port even now
	Freed                       // nobody holds the port any longer
	Taken                       // the group holds the port no longer, but a newcomer does
	Shared                      // the group holds the port no longer, but others do that held it before
)

// A Result is an Outcome with what belongs to it.
type Result struct {
	Outcome Outcome
	Reason  string    // for Refused: why, in plain words
	Ended   bool      // once signalled: the whole group has ended, rather than just let go of the port or nothing at all
	Left    []Process // for StillRunning: those of the group that are left; for Taken and Shared: who holds the port now
	Err     error     // for Failed, Unclear and NotPermitted
}

// A Refusal is an error that says in plain words why nobody is signalled.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// A Group is the processes that end together: those that hold a port for one server.
type Group struct {
	// Master started all Workers. It runs their program, does not listen, and ends them when it ends. It is zero where there is none.
	Master Process
	// Workers hold the port, the main one first. There is at least one.
	Workers []Process
}

// First returns the process that stands for the group: its master or its main worker.
func (g Group) First() Process {
	if g.Master.Known() {
		return g.Master
	}
	return g.Workers[0]
}

// And returns what follows the name of the first process: " and 4 workers". It is empty for a single process.
func (g Group) And() string {
	n := len(g.all()) - 1
	switch n {
	case 0:
		return ""
	case 1:
		return " and 1 worker"
	}
	return fmt.Sprintf(" and %d workers", n)
}

// all returns the processes of the group, the first one first.
func (g Group) all() []Process {
	if g.Master.Known() {
		return append([]Process{g.Master}, g.Workers...)
	}
	return g.Workers
}

// Wait is how long End watches what a signal does, unless somebody wants it otherwise.
const Wait = 5 * time.Second

// End asks a group to end (SIGTERM), or with force makes it end (SIGKILL; on Windows there is nothing else), and tells what came of
// it. It never escalates by itself. It blocks until the port is free, but no longer than wait after the signal, plus the time
// of two scans.
//
// A group that has a master is asked to end through its master. Workers that hold the port a second after their master has ended
// are asked as well. By force master and workers are hit, because workers go on
// when their master is killed. Without a master all workers are hit.
//
// holders scans anew and returns the owners of all listeners on the port in question. End calls it before the signal, because
// only a process that holds that port at this moment may be hit, and afterwards to see the result. If its error before the signal is
// a Refusal, nobody is hit.
//
// Whoever is hit is exactly one of the group: the process is pinned first (a pidfd on Linux, a handle on Windows), then its start is
// compared and the port checked, and the signal goes through the pin, so that a PID that is reused in between hits nobody. macOS has
// no such pin; there the start is compared once more right before the signal. A process that runs another program by now (execve(2))
// is not what it was. A master is hit only if each worker that holds the port is its child and runs its program. By force, so are its
// other children that hold the port and run its program: they have taken the place of a worker.
func End(ctx context.Context, g Group, force bool, wait time.Duration, holders func(context.Context) ([]Process, error)) Result {
	if !force && !CanStop() {
		return Result{Outcome: Refused, Reason: "this system can only kill"}
	}
	var pins []pinned
	defer func() {
		for _, t := range pins {
			t.pin.Release() // only gives the handle back
		}
	}()
	for _, p := range g.all() {
		pin, result, ok := pinTarget(ctx, p)
		switch {
		case ok:
			pins = append(pins, pinned{p, pin})
		case result.Outcome != AlreadyGone:
			return result
		}
	}
	if len(pins) == 0 {
		return Result{Outcome: AlreadyGone}
	}
	before, err := holders(ctx)
	var refusal Refusal
	switch {
	case errors.As(err, &refusal):
		return Result{Outcome: Refused, Reason: string(refusal)}
	case err != nil:
		return Result{Err: fmt.Errorf("see who holds the port: %w", err)}
	}
	if force && pins[0].Is(g.Master) {
		pins = append(pins, successors(ctx, g, before)...)
	}
	targets := present(ctx, pins, g.Master, before)
	if len(targets) == 0 {
		return Result{Outcome: AlreadyGone}
	}
	hit, signal := targets, os.Kill
	if !force {
		signal = syscall.SIGTERM
		if targets[0].Is(g.Master) {
			hit = targets[:1]
		}
	}
	if result, ok := signalAll(hit, signal); !ok {
		return result
	}
	members := make([]Process, len(targets))
	for i, t := range targets {
		members[i] = t.Process
	}
	return watch(ctx, members, targets[len(hit):], before, wait, holders)
}

// signalAll signals processes through their pins. If it hits none of them, it returns why.
func signalAll(hit []pinned, signal os.Signal) (result Result, ok bool) {
	result = Result{Outcome: AlreadyGone}
	for _, t := range hit {
		switch err := t.pin.Signal(signal); {
		case err == nil:
			ok = true
		case errors.Is(err, os.ErrProcessDone), t.Gone(): // to Windows that is a lack of permission
		case errors.Is(err, os.ErrPermission):
			result = Result{Outcome: NotPermitted, Err: err}
		default:
			result = Result{Err: err}
		}
	}
	return result, ok
}

// pinned is a process and what it is signalled through.
type pinned struct {
	Process
	pin *os.Process
}

// successors pins the children of a group's master that hold the port, run its program and are not of the group yet.
func successors(ctx context.Context, g Group, holders []Process) (pins []pinned) {
	for _, p := range holders {
		if slices.ContainsFunc(g.Workers, p.Is) || !IsWorker(ctx, p, g.Master) {
			continue
		}
		if pin, _, ok := pinTarget(ctx, p); ok {
			pins = append(pins, pinned{p, pin})
		}
	}
	return pins
}

// present returns those of a group that are still what they were, and hold the port or are the master. There are none if no worker is
// left, or if one of the workers is not the master's.
func present(ctx context.Context, group []pinned, master Process, holders []Process) (targets []pinned) {
	led, workers := false, 0
	for _, t := range group {
		isMaster := t.Is(master)
		switch {
		case !isMaster && !slices.ContainsFunc(holders, t.Is), t.Gone(), replaced(ctx, t.Process):
			continue
		case isMaster:
			led = true
		case led && !IsWorker(ctx, t.Process, master):
			return nil
		default:
			workers++
		}
		targets = append(targets, t)
	}
	if workers == 0 {
		return nil
	}
	return targets
}

// IsWorker reports whether a process is at this moment a child of master and runs the same program. No child of a shell is.
func IsWorker(ctx context.Context, p, master Process) bool {
	m, err := readMember(ctx, p.PID)
	parent, err2 := readMember(ctx, master.PID)
	if err != nil || err2 != nil || m.ID != p.ID() || parent.ID != master.ID() || m.parent != master.PID {
		return false
	}
	m.inspect()
	parent.inspect()
	return m.forkedFrom(parent)
}

// Descends reports whether a process is a child of another one, at any distance.
func Descends(p, from Process) bool {
	for range maxChain {
		parent, ok := Parent(p)
		if !ok || parent.Is(from) {
			return ok
		}
		p = parent
	}
	return false
}

// aim pins p and returns the pin, or why p is not to be signalled.
func pinTarget(ctx context.Context, p Process) (*os.Process, Result, bool) {
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

// watch follows what a signal to a group does, for as long as wait. Looking at processes is cheap and done often; a scan of all
// listeners is not: one is made when all have ended, and otherwise each second. A single scan is believed only when it
// says that the ended group left the port free or to others that had it before; anything else is looked at twice. Those of the group
// that were left out are asked to end when the first one has ended and did not take them along.
func watch(ctx context.Context, group []Process, out []pinned, before []Process, wait time.Duration, holders func(context.Context) ([]Process, error)) Result {
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
			return sure.with(living(group))
		case <-end.C:
			return sure.with(living(group))
		case <-tick.C:
		}
		alive := living(group)
		ended := len(alive) == 0
		if !ended && time.Since(scanned) < pause {
			continue
		}
		now, err := holders(ctx)
		scanned = time.Now()
		r := Judge(group, before, now).with(alive)
		if err != nil && !errors.As(err, new(Refusal)) {
			r = Result{Outcome: Unclear, Err: fmt.Errorf("see who holds the port: %w", err), Ended: ended}
		}
		if r.Outcome == StillRunning && group[0].Gone() && len(out) > 0 {
			signalAll(slices.DeleteFunc(slices.Clone(out), func(t pinned) bool { return !slices.ContainsFunc(now, t.Is) }), syscall.SIGTERM)
			out = nil
		}
		again := r.Outcome == last.Outcome && slices.EqualFunc(r.Left, last.Left, Process.Is)
		switch {
		case ended && (r.Outcome == Freed || r.Outcome == Shared), r.letGo() && again:
			return r
		case r.letGo():
			pause = 100 * time.Millisecond
		default:
			sure, pause = r, time.Second
		}
		last = r
	}
}

// letGo reports whether the group holds the port no longer.
func (r Result) letGo() bool { return r.Outcome == Freed || r.Outcome == Taken || r.Outcome == Shared }

// with returns the result with what follows from those of the group that live.
func (r Result) with(alive []Process) Result {
	r.Ended = len(alive) == 0
	if r.Outcome == StillRunning && !r.Ended {
		r.Left = alive
	}
	return r
}

// living returns the processes that are not known to have ended.
func living(group []Process) []Process {
	return slices.DeleteFunc(slices.Clone(group), Process.Gone)
}

// Judge compares the holders of a port before and after something was done to a group.
func Judge(group, before, after []Process) Result {
	among := func(list []Process, is bool) []Process {
		return slices.DeleteFunc(slices.Clone(after), func(p Process) bool { return slices.ContainsFunc(list, p.Is) != is })
	}
	if left := among(group, true); len(left) > 0 {
		return Result{Outcome: StillRunning, Left: left}
	}
	if newcomers := among(before, false); len(newcomers) > 0 {
		return Result{Outcome: Taken, Left: newcomers}
	}
	if len(after) > 0 {
		return Result{Outcome: Shared, Left: after}
	}
	return Result{Outcome: Freed}
}
