// Package owner tells who listens: the facts about the process behind a listener, whether it may be signalled, and how to
// end it without hitting any other process.
//
// A process is known by its PID together with its start, never by the PID alone, because systems reuse PIDs.
package owner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v3/process"
)

// A Process is what is known about the process that owns a listener. The zero value is an unknown owner: one that this user
// may not see, or a socket held by the kernel itself. Any other fact may be missing as well; a missing fact is never guessed.
type Process struct {
	PID   int32
	Start uint64 // together with PID identifies the process; comparable only on the same running system

	Name  string    // short name of the program, as the process gives it: untrusted text
	Exe   string    // the file that it runs: untrusted text
	Dir   string    // working directory: untrusted text; empty in a container or a sandbox, whose directories are others
	Since time.Time // when the process started, for people; Start is the exact value
	// User is who it runs as: a user id, on Windows a name. That can be known where nothing else is, as can Foreign. See UserName.
	User string

	// Foreign says that it is another user's.
	Foreign bool
	// Refusal is the reason why the process must not be signalled, in a few plain words; empty when it may be.
	Refusal string
}

// ID returns what identifies the process.
func (p Process) ID() ID { return ID{p.PID, p.Start} }

// Known reports whether the owner is known at all.
func (p Process) Known() bool { return p.PID > 0 }

// Is reports whether p and q are the same process, whatever else is known about them.
func (p Process) Is(q Process) bool { return p.PID == q.PID && p.Start == q.Start }

// Gone reports whether p is known to have ended. It is false when that cannot be told, and for an unknown owner.
func (p Process) Gone() bool {
	if !p.Known() {
		return false
	}
	v, err := readVitals(p.PID)
	if err != nil {
		return errors.Is(err, os.ErrProcessDone)
	}
	return v.ended || v.start != p.Start
}

// vitals is what identifies a process at one instant.
type vitals struct {
	name   string // only on Linux
	start  uint64
	parent int32
	ended  bool // exited, but not yet reaped by its parent
}

// Identify returns the process that now has this PID with nothing but its identity filled in. The error wraps
// os.ErrProcessDone when there is no such process.
//
// No later process has the same identity: where two could begin at what counts as the same time, and one that has just begun could be
// followed by another with its PID, Identify waits until that time is over, 10 ms at most.
func Identify(pid int32) (Process, error) {
	for range identifyTries {
		v, err := readVitals(pid)
		if err != nil {
			return Process{}, err
		}
		if !waitForNextTick(v.start) {
			return Process{PID: pid, Start: v.start}, nil
		}
	}
	return Process{}, fmt.Errorf("identify process %d: it is replaced again and again: %w", pid, os.ErrProcessDone)
}

// identifyTries is how often a PID is looked at that has another process each time.
const identifyTries = 5

// Parent returns the identity of p's parent process, or false when p has ended, has no parent or may not be seen. Windows keeps
// the PID of a parent that has ended; a process that started after p is not the parent but has its PID. A service manager does
// not count as a parent: it passes sockets on to the servers that it starts, and they are the servers' then.
func Parent(p Process) (Process, bool) {
	v, err := readVitals(p.PID)
	if err != nil || v.start != p.Start || v.parent <= 0 {
		return Process{}, false
	}
	parent, err := readVitals(v.parent)
	if err != nil || parent.start > p.Start || v.parent == 1 || managers[parent.name] {
		return Process{}, false
	}
	return Process{PID: v.parent, Start: parent.start}, true
}

// managers are the programs that start services, for the system or for a user.
var managers = map[string]bool{"systemd": true, "launchd": true, "init": true, "runit": true, "s6-svscan": true}

// OutOfFiles reports whether an error says that this program or the whole system may not open another file, or has no memory left: what
// cannot be read for that can be read later.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// Read returns the facts about the process that now has this PID. The error wraps os.ErrProcessDone when there is no such
// process; a single fact that cannot be read stays empty, unless that is for OutOfFiles.
func Read(ctx context.Context, pid int32) (Process, error) {
	p, err := Identify(pid)
	if err != nil {
		return Process{}, err
	}
	// A literal rather than process.NewProcess, which leaves a pidfd open until the garbage collector runs.
	ps := &process.Process{Pid: pid}
	var errs []error
	name, err := ps.NameWithContext(ctx)
	if errs = append(errs, err); err == nil {
		p.Name = strings.TrimSuffix(name, ".exe")
	}
	p.Exe, _ = ps.ExeWithContext(ctx) // not readable for other users' processes; then only the name counts
	if p.Exe != "" && threadNames[p.Name] {
		p.Name = filepath.Base(p.Exe)
	}
	if runtime.GOOS == "linux" && strings.ContainsAny(p.Name, " /") {
		args, _ := ps.CmdlineSliceWithContext(ctx)
		p.Name = untitled(p.Name, args, p.Exe)
	}
	_, isolated, err := isolationOf(pid)
	errs = append(errs, err)
	if dir, err := ps.CwdWithContext(ctx); err == nil && dir != "" && !isolated {
		p.Dir = filepath.Clean(dir) // Windows ends it with a separator
	}
	ms, err := ps.CreateTimeWithContext(ctx)
	if errs = append(errs, err); err == nil && ms > 0 {
		p.Since = time.UnixMilli(ms)
	}
	mine := false
	p.User, mine, err = runsAs(ctx, ps)
	if errs = append(errs, err); err == nil {
		p.Foreign = !mine
	}
	p.Refusal, err = refusal(ctx, p, ps, mine)
	errs = append(errs, err)
	// All of the above was read by PID: it counts only if that was one and the same process throughout.
	again, err := Identify(pid)
	if err := errors.Join(append(errs, err)...); OutOfFiles(err) {
		return Process{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	if err != nil || !again.Is(p) {
		return Process{}, fmt.Errorf("read process %d: it was replaced meanwhile: %w", pid, os.ErrProcessDone)
	}
	return p, nil
}

// threadNames are names that a runtime gives to the main thread, where Linux then shows them instead of the program's.
var threadNames = map[string]bool{"MainThread": true, "node-MainThread": true}

// untitled returns the name of a process by the one that Linux tells, which is the beginning of a title if the process
// has written one: "puma" for "puma 6.4.2 (tcp".
func untitled(name string, args []string, exe string) string {
	if !isTitle(args, exe) || !strings.HasPrefix(args[0], name) && !strings.HasPrefix(lastElement(args[0]), name) {
		return name
	}
	first, _, _ := strings.Cut(strings.TrimSpace(args[0]), " ")
	return cmp.Or(calledAs(first), name)
}

// CanStop reports whether this system can ask a process to end; where it cannot, a process can only be killed.
func CanStop() bool { return runtime.GOOS != "windows" }
