package tray

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"porttray/watcher/history"
	"porttray/watcher/trusted"
)

// ErrRunning is what Run's error wraps when this user's tray is there already. The text says whether it was asked to show itself.
var ErrRunning = errors.New("porttray runs already")

// An instance is this program's right to be the only one that shows the tray to its user. It ends with the process, however that
// ends.
type instance struct {
	lock *flock.Flock // nil where there is no place for it: then everybody is the only one
	bell string       // a file that another instance makes in order to be noticed
}

// ringEvery is how often the only instance looks whether another one has rung.
const ringEvery = 1500 * time.Millisecond

// instanceDir returns the directory of the lock, one of this user's: where there is $XDG_RUNTIME_DIR in that, which other
// computers do not share.
func instanceDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "porttray"), nil
	}
	return history.Dir()
}

// openInstance makes this process the only instance. If there is one already, it rings and returns an error that wraps ErrRunning.
func openInstance() (*instance, error) {
	dir, err := instanceDir()
	if err == nil {
		err = trusted.MakeDir(dir) // in which nobody else can hold the lock, or have us write elsewhere
	}
	if err == nil && !regular(filepath.Join(dir, "lock")) {
		err = errors.New("what should be the lock is no file")
	}
	if err != nil {
		slog.Warn("whether porttray runs already is not known", "err", err)
		return &instance{}, nil
	}
	i := &instance{flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600)), filepath.Join(dir, "show")}
	switch only, err := i.lock.TryLock(); {
	case err != nil:
		slog.Warn("whether porttray runs already is not known", "err", err)
		return &instance{}, nil
	case !only:
		// Only a new one: nothing is written to what is there, wherever that may lead.
		if f, err := os.OpenFile(i.bell, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close() // nothing was written
		} else if !errors.Is(err, fs.ErrExist) || !regular(i.bell) {
			return nil, fmt.Errorf("%w, and cannot be asked to show itself: %w", ErrRunning, err)
		}
		return nil, fmt.Errorf("%w; it shows itself by a notification", ErrRunning)
	}
	_ = os.Remove(i.bell) // left by one that rang when nobody was there any more
	return i, nil
}

// regular reports whether a file can be a lock: to open a FIFO would wait for ever.
func regular(file string) bool {
	info, err := os.Lstat(file)
	return err != nil || info.Mode().IsRegular()
}

// answer delivers a value whenever another instance has rung, until ctx is done.
func (i *instance) answer(ctx context.Context, rung chan<- struct{}) {
	if i.lock == nil {
		return
	}
	ticker := time.NewTicker(ringEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if os.Remove(i.bell) != nil { // mostly it is not there
			continue
		}
		select {
		case rung <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// close gives up the right. The lock's file stays: to remove it would let two have it.
func (i *instance) close() {
	if i.lock != nil {
		_ = i.lock.Close() // the system does it in any case
	}
}

// present returns the notice by which the tray shows itself.
func present(host bool) notice {
	if !host {
		return notice{title: "porttray is running", body: "No panel here shows tray icons; porttray watch shows the list in a terminal", key: "running"}
	}
	return notice{title: "porttray is running", body: "Its icon is in the tray", key: "running"}
}
