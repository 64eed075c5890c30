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

	"porttray/watcher/history"
	"porttray/watcher/server"
	"porttray/watcher/trusted"
)

// choices are the person's choices in the menu. A file keeps them between runs.
type choices struct {
	Mode   mode         `toml:"notifications"`
	Paused time.Time    `toml:"paused-until,omitempty"`
	Muted  []server.Key `toml:"muted,omitempty"`
	Pinned []mark       `toml:"pinned,omitempty"`
	Hidden []mark       `toml:"hidden,omitempty"`
}

func choicesFile() (string, error) {
	dir, err := history.Dir()
	if err != nil {
		return "", errors.Join(errKept, err)
	}
	return filepath.Join(dir, "state.toml"), nil
}

// errKept means that choices cannot be saved: there is no directory for them, or the existing file cannot be read.
var errKept = errors.New("choices are not saved")

// maxChoices is the largest accepted file, in bytes. This program never writes that much.
const maxChoices = 1 << 20

// readChoices returns the saved choices, or those of a first start. It renames an invalid file. Then the error says so,
// and the choices are those of a first start.
func readChoices(file string, now time.Time) (choices, error) {
	first := choices{Mode: myServers}
	text, err := trusted.Read(file, maxChoices)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return first, nil
	case err != nil && !errors.Is(err, trusted.ErrTooLarge): // a file too large is invalid
		return first, fmt.Errorf("read the saved choices in %s: %w", file, errors.Join(errKept, err))
	}
	c, wrong := parseChoices(text)
	if err = errors.Join(err, wrong); err == nil {
		// A longer pause is over: the clock was set back since.
		if !c.Paused.After(now) || c.Paused.Sub(now) > pauseFor+time.Minute {
			c.Paused = time.Time{}
		}
		return c, nil
	}
	aside := file + ".broken-" + now.Format("2006-01-02T15-04-05")
	err = errors.Join(err, os.Rename(file, aside))
	return first, fmt.Errorf("the file of saved choices is invalid (%w), and was renamed to %s", err, aside)
}

func parseChoices(text []byte) (choices, error) {
	c := choices{Mode: myServers}
	err := toml.Unmarshal(text, &c)
	if err == nil && !c.Mode.valid() {
		err = fmt.Errorf("notifications = %q is not all, mine, pinned or off", string(c.Mode))
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

// writeChoices saves c. It replaces the file as a whole, so the file is always the old one or the new one. A symbolic
// link of this user stays, and its target is replaced.
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
		return fmt.Errorf("save your choices: %w", err)
	}
	return nil
}

// choicesPrefix begins the names of the temporary files of writeChoices.
const choicesPrefix = ".state-"

// sweepChoices removes the temporary files of killed processes.
func sweepChoices(file string, now time.Time) {
	trusted.Sweep(filepath.Dir(trusted.Target(file)), choicesPrefix, now)
}

// keepAgain is the delay before another attempt to save, for instance after a full disk.
const keepAgain = time.Minute

// A keeper saves the choices, away from the loop. If they change during a write, it saves the latest next. It tries a
// failed write again, also at the end.
type keeper struct {
	file    string
	choices choices // of the earlier run
	problem error   // why the earlier choices are ignored; nil if they are valid or missing
	queue   chan choices
	lost    chan error // the first error of each run of failed writes
	failing bool
}

func newKeeper() *keeper {
	k := &keeper{choices: choices{Mode: myServers}, queue: make(chan choices, 1), lost: make(chan error, 1)}
	file, err := choicesFile()
	if err == nil {
		k.choices, err = readChoices(file, time.Now())
		sweepChoices(file, time.Now())
	}
	if err != nil {
		slog.Warn("the saved choices are ignored", "err", err)
		k.problem = err
	}
	if !errors.Is(err, errKept) { // never overwrite a file that cannot be read
		k.file = file
	}
	return k
}

// put never blocks. Only one goroutine may call it.
func (k *keeper) put(c choices) {
	select {
	case <-k.queue: // older than c
	default:
	}
	k.queue <- c
}

// run saves choices until ctx is done, and then the last unsaved ones.
func (k *keeper) run(ctx context.Context) {
	var (
		unkept choices
		again  <-chan time.Time // when to write unkept; nil if all is saved
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

// write saves the choices. It reports whether no further attempt makes sense: they are saved, or there is no file for
// them.
func (k *keeper) write(c choices) bool {
	if k.file == "" {
		return true
	}
	err := writeChoices(k.file, c)
	if err != nil && !k.failing {
		slog.Warn("the choices are not saved", "err", err)
		select {
		case k.lost <- err:
		default: // the loop has not received the last error yet
		}
	}
	k.failing = err != nil
	return err == nil
}
