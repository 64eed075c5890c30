//go:build unix

package terminal

import (
	"context"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// readerGone waits until nobody reads out any more, and returns EPIPE then, or nil when ctx is done or out is none of which that can be
// told: the end of a pipe shows only to those who write to it, and a watcher may have nothing to write for hours. On Windows it
// cannot be told.
func readerGone(ctx context.Context, out io.Writer) error {
	file, ok := out.(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return nil
	}
	done, end, err := os.Pipe() // becomes readable when ctx is done
	if err != nil {
		return nil
	}
	defer done.Close()
	stop := context.AfterFunc(ctx, func() { end.Close() })
	defer func() {
		if stop() {
			end.Close()
		}
	}()
	fds := []unix.PollFd{{Fd: int32(file.Fd())}, {Fd: int32(done.Fd())}}
	for {
		_, err := unix.Poll(fds, -1)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || fds[1].Revents != 0:
			return nil
		case fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0:
			return syscall.EPIPE
		}
	}
}
