package owner

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ExitsUntold returns why this system does not report exits of other programs' child processes, or nil if it does. It
// asks the kernel about this process. It neither starts nor ends a process.
func ExitsUntold() error {
	if !ownView() {
		return errors.New("processes cannot be seen by the PIDs that they have here")
	}
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("pin a process: %w", err)
	}
	defer unix.Close(pidfd)
	if _, err := pidfdInfo(pidfd); err != nil {
		return fmt.Errorf("ask about a pinned process: %w", err)
	}
	var uname unix.Utsname
	if err := unix.Uname(&uname); err != nil {
		return fmt.Errorf("ask for the kernel's version: %w", err)
	}
	return checkRelease(unix.ByteSliceToString(uname.Release[:]))
}

// checkRelease checks a kernel version. From Linux 6.13 on kernels answer for running processes, from 6.15 on for
// reaped ones too.
func checkRelease(release string) error {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("the kernel's version %q cannot be read", Printable(release, 40))
	}
	if major < 6 || major == 6 && minor < 15 {
		return fmt.Errorf("kernels before Linux 6.15 do not tell, and this is %d.%d", major, minor)
	}
	return nil
}
