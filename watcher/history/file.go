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
	// maxFile is how large the file may be. This program never comes to write so much.
	maxFile   = 1 << 20
	tmpPrefix = "." + name + "-"
)

// errBroken says that a file of this user's makes no sense.
var errBroken = errors.New("it is not understood")

// Dir returns the directory in which porttray keeps what it has to know in its next run, and which need not exist yet: below
// $XDG_STATE_HOME, or what the system has for it.
func Dir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); runtime.GOOS == "linux" && filepath.IsAbs(dir) {
		return filepath.Join(dir, "porttray"), nil
	}
	if runtime.GOOS == "linux" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find a directory for what is kept: %w", err)
		}
		return filepath.Join(home, ".local", "state", "porttray"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for what is kept: %w", err)
	}
	return filepath.Join(dir, "porttray"), nil
}

// File returns where the file is; it need not exist yet.
func File() (string, error) {
	dir, err := Dir()
	return filepath.Join(dir, name), err
}

// load reads the file, whose text it returns as well. The restarts in it count only if they are of this start of the computer.
// Where there is no file, there are no contents. The error wraps errBroken if the file could be read and makes no sense.
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
		return contents{}, nil, fmt.Errorf("read what was seen in %s: %w; if it is removed, a new one is begun", file, err)
	}
	if boot == "" || c.Boot != boot {
		c.Live = nil
	}
	return c, text, nil
}

// readFile returns the text of a file, if it is a regular one of this user's and not too large.
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

// replace writes the file as a whole: whoever reads it, and whenever this program is killed, it is the old one or the new one. After
// a failure of the whole computer it may be neither, because nothing waits for the disk: that is worth no wear and no delay for
// what is merely convenient, and what is broken then is put aside by the next one to write.
func replace(file string, text []byte) error {
	if err := makeDir(filepath.Dir(file)); err != nil {
		return err
	}
	return trusted.Replace(file, tmpPrefix, text, 0o600, false)
}

// Writable returns why a file could not be replaced, nil if it could. It writes another one and removes it: in the file's directory or,
// where that is not there yet, in the one that it would be made in.
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

// makeDir makes the directory, for this user only, if it is not there. Root makes none below another user's: that user, for whom
// root may act (sudo can leave $HOME as it was), could not keep anything there later.
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
