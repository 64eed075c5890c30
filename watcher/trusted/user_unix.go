//go:build unix

package trusted

import (
	"io/fs"
	"os"
	"syscall"
)

// open opens a file for reading. It does not wait for the other end of a FIFO.
func open(file string) (*os.File, error) { return os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) }

// foreign reports whether a file is another user's, root not counted: some systems install what people set. On Windows that is not
// looked at: there the files are in a part of the user's profile that others cannot write to.
func foreign(info fs.FileInfo) bool {
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	return uid != 0 && uid != os.Geteuid()
}
