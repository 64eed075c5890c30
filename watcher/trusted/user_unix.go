//go:build unix

package trusted

import (
	"io/fs"
	"os"
	"syscall"
)

// open opens a file for reading. It does not wait for the other end of a FIFO.
func open(file string) (*os.File, error) { return os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) }

// openNoLink is open, and does not follow a symbolic link.
func openNoLink(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// Foreign reports whether a file is another user's, root not counted: some systems install what people set. On Windows that is not
// looked at: there the files are in a part of the user's profile that others cannot write to.
func Foreign(info fs.FileInfo) bool { return uid(info) != 0 && others(info) }

// others is Foreign with root counted.
func others(info fs.FileInfo) bool { return uid(info) != os.Geteuid() }

func uid(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
