package trusted

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Abandoned is how old a temporary file is when whoever wrote it has certainly ended.
const Abandoned = time.Minute

// Replace puts text into a file as a whole: whoever reads it, and whenever this program is killed, it is the old one or the new one.
// The text is written to a temporary file beside it first, whose name begins with prefix. After a failure of the whole computer the
// file is one or the other as well if durable, for which Replace waits for the disk. The directory must be there.
func Replace(file, prefix string, text []byte, mode fs.FileMode, durable bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), prefix+"*") // for this user only
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if mode != 0o600 { // not everywhere can it be set
		err = errors.Join(err, tmp.Chmod(mode))
	}
	if durable {
		err = errors.Join(err, tmp.Sync())
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// Sweep removes the temporary files in a directory of those that were killed in Replace. Young ones may be in use, and what cannot be
// removed stays.
func Sweep(dir, prefix string, now time.Time) {
	entries, _ := os.ReadDir(dir) // none if there is no directory yet
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) > Abandoned {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
