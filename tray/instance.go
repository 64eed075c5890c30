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

// ErrRunning means that this user's tray is already running. Run wraps it, and the text says whether that tray was
// asked to show itself.
var ErrRunning = errors.New("porttray is already running")

// An instance is the right of this process to be its user's only tray. It ends with the process, also after a crash.
type instance struct {
	lock     *flock.Flock // nil without a usable directory: then every process counts as the only one
	showFile string       // another instance creates this file to make this one show itself
}

// showPoll is how often the only instance looks for showFile.
const showPoll = 1500 * time.Millisecond

// instanceDir returns this user's directory for the lock. It prefers $XDG_RUNTIME_DIR, because other computers do not
// share it.
func instanceDir() (string, error) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "porttray"), nil
	}
	return history.Dir()
}

// openInstance makes this process the only instance. If another one exists, it creates showFile and returns an error
// that wraps ErrRunning.
func openInstance() (*instance, error) {
	dir, err := instanceDir()
	if err == nil {
		err = trusted.MakeDir(dir) // nobody else can hold the lock in it, or redirect our writes
	}
	if err == nil && !regular(filepath.Join(dir, "lock")) {
		err = errors.New("the lock is not a regular file")
	}
	if err != nil {
		slog.Warn("cannot tell whether porttray is already running", "err", err)
		return &instance{}, nil
	}
	i := &instance{flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600)), filepath.Join(dir, "show")}
	switch only, err := i.lock.TryLock(); {
	case err != nil:
		slog.Warn("cannot tell whether porttray is already running", "err", err)
		return &instance{}, nil
	case !only:
		// Create a new file only: an existing one may lead elsewhere.
		if f, err := os.OpenFile(i.showFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close() // nothing was written
		} else if !errors.Is(err, fs.ErrExist) || !regular(i.showFile) {
			return nil, fmt.Errorf("%w, and cannot be asked to show itself: %w", ErrRunning, err)
		}
		return nil, fmt.Errorf("%w; it shows a notification", ErrRunning)
	}
	_ = os.Remove(i.showFile) // an instance may have created it after the last tray ended
	return i, nil
}

// regular reports whether a file can be a lock. Opening a FIFO would wait for ever.
func regular(file string) bool {
	info, err := os.Lstat(file)
	return err != nil || info.Mode().IsRegular()
}

// answer sends a value whenever another instance created showFile, until ctx is done.
func (i *instance) answer(ctx context.Context, requests chan<- struct{}) {
	if i.lock == nil {
		return
	}
	ticker := time.NewTicker(showPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if os.Remove(i.showFile) != nil { // usually it does not exist
			continue
		}
		select {
		case requests <- struct{}{}:
		case <-ctx.Done():
			return
		}
	}
}

// close gives up the right. It leaves the lock's file: after a removal two processes could have the lock.
func (i *instance) close() {
	if i.lock != nil {
		_ = i.lock.Close() // the system does it at exit in any case
	}
}

// present returns the notice that shows this tray to the person.
func present(host bool) notice {
	if !host {
		body := "No panel here shows tray icons; porttray watch shows the list in a terminal"
		return notice{title: "porttray is running", body: body, key: "running"}
	}
	return notice{title: "porttray is running", body: "Its icon is in the tray", key: "running"}
}
