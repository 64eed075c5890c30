package owner

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ExitsUntold returns why this system does not tell how a process ended that another program started; nil where it does. It asks
// the kernel about this process, and starts and ends none.
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

// untoldBefore615 says what the version of a kernel means that answers about pinned processes. While a process runs, the answer
// is the same from Linux 6.13 on; only from 6.15 on there is one about a process that is reaped.
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
