// Package trusted reads and replaces the files by which a person tells porttray what to do, and in which it remembers. Whoever could put
// another file in their place could have programs run, or files written over; so only what is the person's own, or root's, counts.
package trusted

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Errors of Read, without the name of the file.
var (
	ErrNoFile   = errors.New("it is no file")
	ErrForeign  = errors.New("it is another user's")
	ErrTooLarge = errors.New("it is too large")
)

// Read returns the text of a file of at most limit bytes. A symbolic link is followed, because people keep such files elsewhere, if
// it is the person's own or root's like the file. Read never waits, as for somebody to write to a FIFO, and an error of the system's is
// without the name of the file; it wraps fs.ErrNotExist where there is none.
func Read(file string, limit int64) ([]byte, error) {
	if !Link(file) {
		return nil, ErrForeign
	}
	return read(file, limit, os.Stat, open, Foreign)
}

// ReadOwn is Read of a file that only this program writes: it is no link, and root's is another user's as well.
func ReadOwn(file string, limit int64) ([]byte, error) {
	return read(file, limit, os.Lstat, openNoLink, others)
}

func read(file string, limit int64, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error), foreign func(fs.FileInfo) bool) ([]byte, error) {
	if info, err := stat(file); err != nil { // before it is opened: opening a device can do something
		return nil, cause(err)
	} else if !info.Mode().IsRegular() {
		return nil, ErrNoFile
	}
	f, err := open(file)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat() // which can be another one by now
	switch {
	case err != nil:
		return nil, cause(err)
	case !info.Mode().IsRegular():
		return nil, ErrNoFile
	case foreign(info):
		return nil, ErrForeign
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, cause(err)
	case int64(len(text)) > limit:
		return nil, ErrTooLarge
	}
	return text, nil
}

// Link reports whether a file is none that another user has linked to something, so that it can be followed.
func Link(file string) bool {
	info, err := os.Lstat(file)
	return err != nil || info.Mode()&fs.ModeSymlink == 0 || !Foreign(info)
}

// Target returns the file that a symbolic link leads to, by which to replace it and keep the link. What is no link, or another
// user's, or leads nowhere, is the file itself.
func Target(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil && Link(file) {
		return real
	}
	return file
}

// MakeDir makes a directory that nobody but this user can write to, if it is not there. The error says that it is another user's, or
// why it cannot be made.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !Link(dir) || Foreign(info):
		return fmt.Errorf("%s: %w", dir, ErrForeign)
	case info.Mode().Perm()&0o022 != 0:
		return os.Chmod(dir, info.Mode().Perm()&^0o022)
	}
	return nil
}

// cause returns an error without the name of the file.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
