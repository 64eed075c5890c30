//go:build unix

package terminal

import (
	"context"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// readerGone waits until out has lost its reader, and then returns EPIPE. It returns nil when ctx is done, or if out is
// not a pipe or socket. Without it, only the next write would report the lost reader, and a watcher may write nothing
// for hours. Windows does not report it.
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
