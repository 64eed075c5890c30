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

	"github.com/pelletier/go-toml/v2"

	"porttray/watcher"
	"porttray/watcher/history"
	"porttray/watcher/trusted"
)

// choices are what the person chose in the menu. They are kept in a file from one run to the next.
type choices struct {
	Mode   mode          `toml:"notifications"`
	Paused time.Time     `toml:"paused-until,omitempty"`
	Muted  []watcher.Key `toml:"muted,omitempty"`
	Pinned []mark        `toml:"pinned,omitempty"`
	Hidden []mark        `toml:"hidden,omitempty"`
}

// choicesFile returns where the choices are kept.
func choicesFile() (string, error) {
	dir, err := history.Dir()
	if err != nil {
		return "", errors.Join(errKept, err)
	}
	return filepath.Join(dir, "state.toml"), nil
}

// errKept says that nothing can be kept, because there is no place for it or because what is there cannot be read.
var errKept = errors.New("nothing is kept")

// maxChoices is how large the file may be. This program never comes to write so much.
const maxChoices = 1 << 20

// readChoices returns what was kept, or the choices of a first start. A file that cannot be understood is put aside under another
// name; the error says so, and the choices are those of a first start.
func readChoices(file string, now time.Time) (choices, error) {
	first := choices{Mode: myServers}
	text, err := trusted.Read(file, maxChoices)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return first, nil
	case err != nil && !errors.Is(err, trusted.ErrTooLarge): // that one is in no order
		return first, fmt.Errorf("read what was chosen before in %s: %w", file, errors.Join(errKept, err))
	}
	c, wrong := parseChoices(text)
	if err = errors.Join(err, wrong); err == nil {
		// Nobody pauses for longer: what seems so is over, and the clock was put back since.
		if !c.Paused.After(now) || c.Paused.Sub(now) > pauseFor+time.Minute {
			c.Paused = time.Time{}
		}
		return c, nil
	}
	aside := file + ".broken-" + now.Format("2006-01-02T15-04-05")
	return first, fmt.Errorf("what was chosen before is in no order (%w), and was put aside as %s", errors.Join(err, os.Rename(file, aside)), aside)
}

// parseChoices reads what writeChoices wrote.
func parseChoices(text []byte) (choices, error) {
	c := choices{Mode: myServers}
	err := toml.Unmarshal(text, &c)
	if err == nil && !c.Mode.valid() {
		err = fmt.Errorf("notifications = %q is none of all, mine, pinned, off", string(c.Mode))
	}
	return c, err
}

func (m mode) valid() bool {
	for _, known := range modes {
		if known.mode == m {
			return true
		}
	}
	return false
}

// writeChoices keeps c in the file, which is replaced as a whole: whatever happens, it is the old one or the new one. A symbolic link
// of this user's stays, and what it leads to is replaced.
func writeChoices(file string, c choices) error {
	file = trusted.Target(file)
	text, err := toml.Marshal(c)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = trusted.Replace(file, choicesPrefix, text, 0o600, true)
	}
	if err != nil {
		return fmt.Errorf("keep what was chosen: %w", err)
	}
	return nil
}

// choicesPrefix begins the names of the temporary files that become the choices.
const choicesPrefix = ".state-"

// sweepChoices removes those of writers that were killed.
func sweepChoices(file string, now time.Time) {
	trusted.Sweep(filepath.Dir(trusted.Target(file)), choicesPrefix, now)
}

// keepAgain is how long after a failure the choices are written again, as when the disk was full.
const keepAgain = time.Minute

// A keeper writes the choices down, away from the loop: the latest ones, if they change while others are being written. What cannot be
// written is tried again, and at the end.
type keeper struct {
	file    string
	choices choices // those that were kept before
	problem error   // why those of before do not count; nil if they do, or if there are none
	queue   chan choices
	lost    chan error // why nothing is kept, each time that this begins
	failing bool
}

// newKeeper reads what was kept before.
func newKeeper() *keeper {
	k := &keeper{choices: choices{Mode: myServers}, queue: make(chan choices, 1), lost: make(chan error, 1)}
	file, err := choicesFile()
	if err == nil {
		k.choices, err = readChoices(file, time.Now())
		sweepChoices(file, time.Now())
	}
	if err != nil {
		slog.Warn("what was chosen before does not count", "err", err)
		k.problem = err
	}
	if !errors.Is(err, errKept) { // what is there and cannot be read is not written over
		k.file = file
	}
	return k
}

// put never blocks. It is called by one goroutine only.
func (k *keeper) put(c choices) {
	select {
	case <-k.queue: // older than c
	default:
	}
	k.queue <- c
}

// run writes until ctx is done, and then what is left to write.
func (k *keeper) run(ctx context.Context) {
	var (
		unkept choices
		again  <-chan time.Time // when to write unkept; nil if all is kept
	)
	write := func(c choices) {
		unkept, again = c, nil
		if !k.write(c) {
			again = time.After(keepAgain)
		}
	}
	for {
		select {
		case c := <-k.queue:
			write(c)
		case <-again:
			write(unkept)
		case <-ctx.Done():
			select {
			case c := <-k.queue:
				write(c)
			default:
				if again != nil {
					write(unkept)
				}
			}
			return
		}
	}
}

// write reports whether the choices are kept, or never will be.
func (k *keeper) write(c choices) bool {
	if k.file == "" {
		return true
	}
	err := writeChoices(k.file, c)
	if err != nil && !k.failing {
		slog.Warn("what was chosen is not kept", "err", err)
		select {
		case k.lost <- err:
		default: // the last one has not been told yet
		}
	}
	k.failing = err != nil
	return err == nil
}
