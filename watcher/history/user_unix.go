//go:build unix

package history

import (
	"io/fs"
	"os"
	"syscall"
)

// open opens a file for reading. It does not follow a symbolic link, and does not wait for the other end of a FIFO.
func open(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// foreign reports whether a file or directory is another user's. On Windows that is not looked at: there the file is in a part of
// the user's profile that others cannot write to.
func foreign(info fs.FileInfo) bool {
	return int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid()
}
