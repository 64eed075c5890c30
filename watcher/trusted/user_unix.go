//go:build unix

package trusted

import (
	"io/fs"
	"os"
	"syscall"
)

// open opens a file for reading. It does not wait for the other end of a FIFO.
func open(file string) (*os.File, error) { return os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) }

// openNoLink is like open, but does not follow a symbolic link.
func openNoLink(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// Foreign reports whether a file belongs to a user other than this one and root. Some systems install settings as root.
// On Windows Foreign is always false: other users cannot write to that part of the user's profile.
func Foreign(info fs.FileInfo) bool { return uid(info) != 0 && others(info) }

// others reports whether a file belongs to another user, root included.
func others(info fs.FileInfo) bool { return uid(info) != os.Geteuid() }

func uid(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
