// Package owner identifies the process behind a listener. It says whether the process may be signalled, and
// ends it without hitting any other.
//
// A PID together with the start identifies a process, never a PID alone, because systems reuse PIDs.
package owner

import (
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

// A Process holds the known facts about a listener's owner. The zero value is an unknown owner: a process that this
// user may not see, or the kernel itself. Any other fact may be missing too. No fact is ever guessed.
type Process struct {
	PID   int32
	Start uint64 // with PID it identifies the process, until the system's next start

	Name  string    // short name of the program, from the process: untrusted text
	Exe   string    // program file: untrusted text
	Dir   string    // working directory: untrusted text; empty in a container or a sandbox
	Since time.Time // when the process started, for people; Start is the exact value
	// User is the process's user: a user ID, on Windows a name. It and Foreign may be the only known facts. See
	// UserName.
	User string

	// Foreign says that the process is another user's.
	Foreign bool
	// Refusal says in a few plain words why the process must not be signalled. It is empty if it may be.
	Refusal string
}

// ID returns p's identity.
func (p Process) ID() ID { return ID{p.PID, p.Start} }

// Known reports whether the owner is known at all.
func (p Process) Known() bool { return p.PID > 0 }

// Is reports whether p and q are the same process, regardless of other facts.
func (p Process) Is(q Process) bool { return p.PID == q.PID && p.Start == q.Start }

// Gone reports whether p is known to have ended. It is false for an unknown owner, and when nobody can tell.
func (p Process) Gone() bool {
	if !p.Known() {
		return false
	}
	v, err := ReadVitals(p.PID)
	if err != nil {
		return errors.Is(err, os.ErrProcessDone)
	}
	return v.Ended || v.Start != p.Start
}

// Vitals identifies a process at one instant.
type Vitals struct {
	Name   string // only on Linux
	Start  uint64
	Parent int32
	Ended  bool // exited, but not yet reaped by its parent
}

// Identify returns the process that now has this PID, with only its identity filled in. The error wraps
// os.ErrProcessDone if there is no such process.
//
// No later process has the same identity. Start times have a limited resolution, so a new process could end and another
// one with its PID could get the same start. Then Identify waits until that is impossible, 10 ms at most.
func Identify(pid int32) (Process, error) {
	for range identifyTries {
		v, err := ReadVitals(pid)
		if err != nil {
			return Process{}, err
		}
		if !waitForNextTick(v.Start) {
			return Process{PID: pid, Start: v.Start}, nil
		}
	}
	return Process{}, fmt.Errorf("identify process %d: it is replaced again and again: %w", pid, os.ErrProcessDone)
}

// identifyTries is the limit of attempts if a PID has another process each time.
const identifyTries = 5

// Parent returns the identity of p's parent process. It returns false if p has ended, has no parent or is hidden.
// Windows keeps the PID of an ended parent. A process with that PID that started after p is not the parent. A service
// manager does not count as a parent, because it passes its sockets on to the servers that it starts.
func Parent(p Process) (Process, bool) {
	v, err := ReadVitals(p.PID)
	if err != nil || v.Start != p.Start || v.Parent <= 0 {
		return Process{}, false
	}
	parent, err := ReadVitals(v.Parent)
	if err != nil || parent.Start > p.Start || v.Parent == 1 || managers[parent.Name] {
		return Process{}, false
	}
	return Process{PID: v.Parent, Start: parent.Start}, true
}

// managers are the programs that start services, for the system or for a user.
var managers = map[string]bool{"systemd": true, "launchd": true, "init": true, "runit": true, "s6-svscan": true}

// IsManager reports whether a program of this name starts services, for the system or for a user.
func IsManager(name string) bool { return managers[name] }

// OutOfFiles reports whether err means that this program or the system has run out of open files or memory. A later
// attempt can succeed.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// Read returns the facts about the process that now has this PID. The error wraps os.ErrProcessDone if there is no such
// process. An unreadable fact stays empty, but OutOfFiles is an error.
func Read(ctx context.Context, pid int32) (Process, error) {
	p, err := Identify(pid)
	if err != nil {
		return Process{}, err
	}
	// A literal, because process.NewProcess leaves a pidfd open until the garbage collector runs.
	ps := &process.Process{Pid: pid}
	var errs []error
	name, err := ps.NameWithContext(ctx)
	if errs = append(errs, err); err == nil {
		p.Name = strings.TrimSuffix(name, ".exe")
	}
	p.Exe, _ = ps.ExeWithContext(ctx) // unreadable for other users' processes; then only the name counts
	if p.Exe != "" && threadNames[p.Name] {
		p.Name = filepath.Base(p.Exe)
	}
	if runtime.GOOS == "linux" && strings.ContainsAny(p.Name, " /") {
		args, _ := ps.CmdlineSliceWithContext(ctx)
		p.Name = untitled(p.Name, args, p.Exe)
	}
	_, isolated, err := IsolationOf(pid)
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
	// All of the above was read by PID, so it counts only if one process had that PID throughout.
	again, err := Identify(pid)
	if err := errors.Join(append(errs, err)...); OutOfFiles(err) {
		return Process{}, fmt.Errorf("read process %d: %w", pid, err)
	}
	if err != nil || !again.Is(p) {
		return Process{}, fmt.Errorf("read process %d: it was replaced meanwhile: %w", pid, os.ErrProcessDone)
	}
	return p, nil
}

// CanStop reports whether this system can ask a process to end. Otherwise it can only kill.
func CanStop() bool { return runtime.GOOS != "windows" }

// An ID identifies a process on a running system.
type ID struct {
	PID   int32
	Start uint64
}
