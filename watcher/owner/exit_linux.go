package owner

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// A stage is the progress of a process towards its end.
type stage int

const (
	running stage = iota
	zombie        // its parent has not reaped it yet
	final         // the kernel will tell nothing more
)

// exitOf asks a pidfd how its process ended. The kernel tells any user, from the moment when the parent has reaped the
// process. The pidfd must have been opened before (PIDFD_GET_INFO with PIDFD_INFO_EXIT in linux/pidfd.h, Linux 6.15).
func exitOf(pidfd int) (Exit, stage) {
	info, err := pidfdInfo(pidfd)
	if errors.Is(err, unix.ESRCH) {
		// The process is reaped now, but perhaps was not when the kernel looked for its status.
		info, err = pidfdInfo(pidfd)
	}
	exit, stage := readExit(info, err)
	if stage == zombie && !readable(pidfd) {
		return Exit{}, running
	}
	return exit, stage
}

func pidfdInfo(pidfd int) (unix.PidfdInfo, error) {
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	err := unix.IoctlPidfdInfo(pidfd, &info)
	return info, err
}

// readExit reads the kernel's answer. The answer is the same for a running process and a zombie. An error means that
// the kernel will not tell: it supports the question from Linux 6.13 on, and answers for reaped processes from 6.15 on.
// A sandbox may forbid the question.
func readExit(info unix.PidfdInfo, err error) (Exit, stage) {
	switch {
	case err != nil:
		return Exit{}, final
	case info.Mask&unix.PIDFD_INFO_EXIT == 0:
		return Exit{}, zombie
	}
	return decodeStatus(syscall.WaitStatus(info.Exit_code)), final
}

// decodeStatus reads a status as wait(2) returns it.
func decodeStatus(status syscall.WaitStatus) Exit {
	switch {
	case status.Exited():
		return Exit{How: Exited, Status: status.ExitStatus()}
	case status.Signaled():
		signal := unix.SignalName(status.Signal())
		if signal == "" {
			signal = fmt.Sprintf("signal %d", int(status.Signal()))
		}
		return Exit{How: Killed, Signal: signal}
	}
	return Exit{}
}

// readable reports whether a pidfd is readable. It is readable once its process has ended.
func readable(pidfd int) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(poll, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}
