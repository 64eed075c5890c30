package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"porttray/watcher/trusted"
)

const (
	name = "seen.json"
	// maxFile is the maximum size of the file in bytes. This program always writes less.
	maxFile   = 1 << 20
	tmpPrefix = "." + name + "-"
)

// errBroken reports that a file of this user has invalid contents.
var errBroken = errors.New("it is invalid")

// Dir returns the directory of porttray's state: below $XDG_STATE_HOME, or the system's equivalent. It need not exist.
func Dir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); runtime.GOOS == "linux" && filepath.IsAbs(dir) {
		return filepath.Join(dir, "porttray"), nil
	}
	if runtime.GOOS == "linux" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the state directory: %w", err)
		}
		return filepath.Join(home, ".local", "state", "porttray"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the state directory: %w", err)
	}
	return filepath.Join(dir, "porttray"), nil
}

// File returns the path of the history file. The file need not exist.
func File() (string, error) {
	dir, err := Dir()
	return filepath.Join(dir, name), err
}

// load reads the file, and returns its contents and its text. It keeps the restarts only if they belong to this start
// of the computer. A missing file has no contents. The error wraps errBroken if the file is readable but invalid.
func load(file, boot string, now time.Time) (contents, []byte, error) {
	text, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, nil, nil
	}
	var c contents
	if err == nil {
		if c, err = decode(text, now); err != nil {
			err = fmt.Errorf("%w: %w", errBroken, err)
		}
	}
	if err != nil {
		return contents{}, nil, fmt.Errorf("read the history file %s: %w; delete it to start a new one", file, err)
	}
	if boot == "" || c.Boot != boot {
		c.Live = nil
	}
	return c, text, nil
}

// readFile returns the text of a regular file of this user with at most maxFile bytes.
func readFile(file string) ([]byte, error) {
	text, err := trusted.ReadOwn(file, maxFile)
	switch {
	case errors.Is(err, trusted.ErrNoFile):
		err = errors.New("it is not a regular file")
	case errors.Is(err, trusted.ErrTooLarge):
		err = fmt.Errorf("%w: it has more than %d bytes", errBroken, maxFile)
	}
	return text, err
}

// replace writes the file as a whole. Readers see the old file or the new one, even if this program is killed. After a
// power failure it may be neither, because replace does not sync. The file is only a convenience, so the delay and the
// wear of a sync are not worth it. The next write renames an invalid file.
func replace(file string, text []byte) error {
	if err := makeDir(filepath.Dir(file)); err != nil {
		return err
	}
	return trusted.Replace(file, tmpPrefix, text, 0o600, false)
}

// Writable returns nil if a file can be replaced, else the error. It writes and removes a temporary file in the same
// directory. If that does not exist, it uses the nearest existing parent.
func Writable(file string) error {
	dir := filepath.Dir(file)
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	tmp, err := os.CreateTemp(dir, ".porttray-*")
	if err != nil {
		return err
	}
	_, err = tmp.WriteString("# porttray doctor\n")
	return errors.Join(err, tmp.Close(), os.Remove(tmp.Name()))
}

// makeDir creates the directory for this user only, if it does not exist. Root creates none in another user's
// directory. Under sudo, $HOME may still be that user's home, and the user could not write to a directory of root
// later.
func makeDir(dir string) error {
	for above := dir; os.Geteuid() == 0; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if errors.Is(err, fs.ErrNotExist) && above != filepath.Dir(above) {
			continue
		}
		if err == nil && trusted.Foreign(info) {
			err = fmt.Errorf("%s is another user's", above)
		}
		if err != nil {
			return err
		}
		break
	}
	return os.MkdirAll(dir, 0o700)
}
