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

// An Outcome is the result of End in one word.
type Outcome int

// The outcomes of End.
const (
	Failed       Outcome = iota // nothing was signalled; Err has the cause
	Unclear                     // signalled, but the result is unknown; Err has the cause
	Refused                     // nothing was signalled: one process is protected, or others would end too
	AlreadyGone                 // nothing was signalled: the group has ended or no longer holds the port
	NotPermitted                // the system did not allow the signal
	StillRunning                // signalled, but some of the group still hold the port
	Freed                       // the port is free
	Taken                       // the group let go of the port, but a newcomer holds it
	Shared                      // the group let go of the port, but others still hold it
)

// A Result is an Outcome with its details.
type Result struct {
	Outcome Outcome
	Reason  string    // for Refused: why, in plain words
	Ended   bool      // the group was signalled, and all of it has ended
	Left    []Process // for StillRunning: the rest of the group; for Taken and Shared: the port's holders
	Err     error     // for Failed, Unclear and NotPermitted
}

// A Refusal is an error that says in plain words why no process is signalled.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// A Group is the set of processes that end together: the processes of one server on a port.
type Group struct {
	// Master started all Workers, ends them with itself, runs the same program and does not listen. It may be zero.
	Master Process
	// Workers hold the port, the main one first. There is at least one.
	Workers []Process
	// IsWorker reports whether a process is now a child of master and runs its program. If it is nil, no process is.
	IsWorker func(ctx context.Context, p, master Process) bool
}

// hasWorker reports whether a process is a worker of the group's master now.
func (g Group) hasWorker(ctx context.Context, p Process) bool {
	return g.IsWorker != nil && g.IsWorker(ctx, p, g.Master)
}

// First returns the process that stands for the group: its master or its main worker.
func (g Group) First() Process {
	if g.Master.Known() {
		return g.Master
	}
	return g.Workers[0]
}

// And returns the text after the first process's name: " and 4 workers". It is empty for a single process.
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

// Wait is the usual time for End to watch the effect of a signal.
const Wait = 5 * time.Second

// End asks a group to end (SIGTERM) and returns the result. With force it kills the group (SIGKILL). Windows can only
// kill. End never escalates by itself. It blocks at most for wait after the signal, plus the
// time of two scans.
//
// If the group has a master, End asks only the master. It also asks workers that hold the port a second after their
// master's end. With force it signals master and workers, because workers survive a killed master. Without a master it
// signals all workers.
//
// holders scans anew and returns the owners of all listeners on the port. End calls it before the signal, because it
// signals only current holders of the port. It calls it afterwards to see the result. If holders returns a Refusal
// before the signal, End signals nobody.
//
// End signals exactly the processes of the group. It pins a process first (a pidfd on Linux, a handle on Windows), then
// compares its start and checks the port. The signal goes through the pin, so a reused PID hits nobody. macOS has no
// such pin, so there End compares the start again right before the signal. A process that has started another program
// (execve(2)) no longer counts as the same. A master is signalled only if each worker on the port is its child and runs
// its program. With force End also signals the master's other children on the port that run its program, because they
// replaced a worker.
func End(ctx context.Context, g Group, force bool, wait time.Duration,
	holders func(context.Context) ([]Process, error)) Result {
	if !force && !CanStop() {
		return Result{Outcome: Refused, Reason: "this system can only kill"}
	}
	var pins []pinned
	defer func() {
		for _, t := range pins {
			t.pin.Release() // this only closes the handle
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
	targets := present(ctx, g, pins, before)
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

// signalAll signals processes through their pins. If it reaches none of them, result says why.
func signalAll(hit []pinned, signal os.Signal) (result Result, ok bool) {
	result = Result{Outcome: AlreadyGone}
	for _, t := range hit {
		switch err := t.pin.Signal(signal); {
		case err == nil:
			ok = true
		case errors.Is(err, os.ErrProcessDone), t.Gone(): // Windows reports an ended process as a lack of permission
		case errors.Is(err, os.ErrPermission):
			result = Result{Outcome: NotPermitted, Err: err}
		default:
			result = Result{Err: err}
		}
	}
	return result, ok
}

// pinned is a process with its pin, for signals.
type pinned struct {
	Process
	pin *os.Process
}

// successors pins children of the master that hold the port, run its program and are not yet in the group.
func successors(ctx context.Context, g Group, holders []Process) (pins []pinned) {
	for _, p := range holders {
		if slices.ContainsFunc(g.Workers, p.Is) || !g.hasWorker(ctx, p) {
			continue
		}
		if pin, _, ok := pinTarget(ctx, p); ok {
			pins = append(pins, pinned{p, pin})
		}
	}
	return pins
}

// present returns the pinned processes that are unchanged and hold the port or are the master. It returns none if no
// worker is left, or if one worker does not belong to the master.
func present(ctx context.Context, g Group, group []pinned, holders []Process) (targets []pinned) {
	led, workers := false, 0
	for _, t := range group {
		isMaster := t.Is(g.Master)
		switch {
		case !isMaster && !slices.ContainsFunc(holders, t.Is), t.Gone(), replaced(ctx, t.Process):
			continue
		case isMaster:
			led = true
		case led && !g.hasWorker(ctx, t.Process):
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

// maxAncestors bounds the climb from a process to its ancestors.
const maxAncestors = 16

// Descends reports whether p descends from another process, at any distance.
func Descends(p, from Process) bool {
	for range maxAncestors {
		parent, ok := Parent(p)
		if !ok || parent.Is(from) {
			return ok
		}
		p = parent
	}
	return false
}

// pinTarget pins p and returns the pin, or the reason not to signal p.
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
	// Read p again: the row's data may be old, and a process can change its user.
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

// replaced reports whether p is known to have started another program. Only on Linux this is cheap enough to check.
func replaced(ctx context.Context, p Process) bool {
	if runtime.GOOS != "linux" {
		return false
	}
	exe, err := (&process.Process{Pid: p.PID}).ExeWithContext(ctx)
	return err == nil && otherProgram(p.Exe, exe)
}

// otherProgram reports whether two paths of one process's program mean two programs. An unknown path proves nothing.
// Neither does a file deleted meanwhile, as when a program is rebuilt.
func otherProgram(then, now string) bool {
	const deleted = " (deleted)" // see proc_pid_exe(5)
	return then != "" && now != "" && strings.TrimSuffix(then, deleted) != strings.TrimSuffix(now, deleted)
}

// watch follows the effect of a signal for at most wait. It looks at the processes often, because that is cheap. It
// scans all listeners when all processes have ended, and otherwise once a second. It trusts a single scan only if the
// group has ended and the port is free or belongs to earlier holders. Any other result needs a second scan. out are
// pinned processes that were not signalled. watch asks them to end if they outlive the first process.
func watch(ctx context.Context, group []Process, out []pinned, before []Process, wait time.Duration,
	holders func(context.Context) ([]Process, error)) Result {
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
			freed := func(t pinned) bool { return !slices.ContainsFunc(now, t.Is) }
			signalAll(slices.DeleteFunc(slices.Clone(out), freed), syscall.SIGTERM)
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

// letGo reports whether the group no longer holds the port.
func (r Result) letGo() bool { return r.Outcome == Freed || r.Outcome == Taken || r.Outcome == Shared }

// with returns r with the fields that depend on the living processes.
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

// Judge compares the holders of a port before and after an action on a group.
func Judge(group, before, after []Process) Result {
	among := func(list []Process, is bool) []Process {
		other := func(p Process) bool { return slices.ContainsFunc(list, p.Is) != is }
		return slices.DeleteFunc(slices.Clone(after), other)
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
