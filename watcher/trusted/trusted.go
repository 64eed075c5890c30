// Package trusted reads and replaces the person's settings and porttray's own records. An attacker with a file in their
// place could make porttray run programs or overwrite files. So the package accepts only files of the person or of
// root. A [Guard] bounds reads from file systems that may hang.
package trusted

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The errors of Read. They do not name the file.
var (
	ErrNoFile   = errors.New("it is no file")
	ErrForeign  = errors.New("it is another user's")
	ErrTooLarge = errors.New("it is too large")
)

// Read returns the text of a file of at most limit bytes. The file must belong to the person or to root. Read follows a
// symbolic link of the person or of root, because people keep such files elsewhere. It never blocks on a FIFO. System
// errors do not name the file. The error wraps fs.ErrNotExist if there is no file.
func Read(file string, limit int64) ([]byte, error) {
	if !followable(file) {
		return nil, ErrForeign
	}
	return read(file, limit, os.Stat, open, Foreign)
}

// ReadOwn is Read for a file that only this program writes. It accepts no link and no other user's file, not even
// root's.
func ReadOwn(file string, limit int64) ([]byte, error) {
	return read(file, limit, os.Lstat, openNoLink, others)
}

func read(file string, limit int64, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error),
	foreign func(fs.FileInfo) bool) ([]byte, error) {
	if info, err := stat(file); err != nil { // before open, because to open a device can have an effect
		return nil, cause(err)
	} else if !info.Mode().IsRegular() {
		return nil, ErrNoFile
	}
	f, err := open(file)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat() // the file may have been replaced
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

// followable reports whether a file may be followed: it is not a symbolic link of another user.
func followable(file string) bool {
	info, err := os.Lstat(file)
	return err != nil || info.Mode()&fs.ModeSymlink == 0 || !Foreign(info)
}

// Target returns the target of a symbolic link, so that Replace can keep the link. It returns the file itself if that
// is no link, another user's link, or a dangling one.
func Target(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil && followable(file) {
		return real
	}
	return file
}

// MakeDir makes a directory, if it does not exist. Only this user can write to it. It returns ErrForeign if the
// directory is another user's.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !followable(dir) || Foreign(info):
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
