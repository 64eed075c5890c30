package trusted

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Abandoned is the age of a temporary file after which its writer has certainly ended.
const Abandoned = time.Minute

// Replace replaces the text of a file atomically. A reader sees the old text or the new one, even if this program is
// killed. Replace first writes a temporary file in the same directory. Its name begins with prefix. With durable,
// Replace waits for the disk, so the file is also whole after a crash of the computer. The directory must exist.
func Replace(file, prefix string, text []byte, mode fs.FileMode, durable bool) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), prefix+"*") // for this user only
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if mode != 0o600 { // some systems cannot set a mode
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

// Sweep removes the temporary files in a directory that were left by killed calls of Replace. It keeps files younger
// than Abandoned, because they may be in use. It ignores errors.
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
