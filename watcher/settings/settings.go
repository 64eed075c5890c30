// Package settings reads the person's settings for porttray: config.toml in the user's configuration directory. The
// file is optional. If there is none, porttray can write an example. It never changes an existing file.
package settings

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"porttray/watcher/trusted"
)

// Settings holds the contents of the file. The zero value stands for no file.
type Settings struct {
	// Interval is the pause between two scans of the ports, from 250 ms to a minute; 0 means the default.
	Interval Interval `json:"interval,omitzero"`
	// Terminal is the command line to open a terminal with. It starts in the directory to show. Empty means the
	// system's own terminal.
	Terminal string `json:"terminal,omitempty"`
	// Rules are tried in order, and the first match counts.
	Rules []Rule `json:"rules,omitempty"`
}

// An Interval is a duration. The file has it as text: "2s".
type Interval time.Duration

// The shortest and the longest interval.
const (
	minInterval = 250 * time.Millisecond
	maxInterval = time.Minute
)

// UnmarshalText reads an interval.
func (i *Interval) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < minInterval || d > maxInterval {
		return fmt.Errorf(`interval is a time from "250ms" to "1m", such as "2s"`)
	}
	*i = Interval(d)
	return nil
}

// MarshalText writes the interval in the form of UnmarshalText.
func (i Interval) MarshalText() ([]byte, error) { return []byte(time.Duration(i).String()), nil }

// maxFile is the largest size of a file, in bytes.
const maxFile = 1 << 20

// An Error is a fault in the file and its position. Its text begins with the file's name and the line.
type Error struct {
	File    string
	Line    int // 1 is the first; 0 means the whole file
	Column  int
	Problem string // in plain words
}

// Error returns "config.toml line 7: …".
func (e *Error) Error() string {
	if e.Line == 0 {
		return filepath.Base(e.File) + ": " + e.Problem
	}
	return fmt.Sprintf("%s line %d: %s", filepath.Base(e.File), e.Line, e.Problem)
}

// File returns the path of the file, even if the file does not exist: porttray/config.toml below $XDG_CONFIG_HOME, or
// below the system's own directory for settings.
func File() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the directory for settings: %w", err)
	}
	return filepath.Join(dir, "porttray", "config.toml"), nil
}

// Read reads a file. A missing file counts as an empty one. Any error is an *Error, and then the settings are the zero
// value: Read never returns part of a file. It rejects another user's file, because that could name programs to run.
func Read(file string) (Settings, error) {
	text, err := trusted.Read(file, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Settings{}, nil
	case errors.Is(err, trusted.ErrTooLarge):
		return Settings{}, &Error{File: file, Problem: "it is larger than 1 MB"}
	case errors.Is(err, trusted.ErrNoFile), errors.Is(err, trusted.ErrForeign):
		return Settings{}, &Error{File: file, Problem: err.Error()}
	case err != nil:
		return Settings{}, &Error{File: file, Problem: "it cannot be read: " + err.Error()}
	}
	s, err := parse(text)
	if err != nil {
		wrong := err.(*Error)
		wrong.File = file
		return Settings{}, wrong
	}
	return s, nil
}

// example sets nothing: every key is commented out.
//
//go:embed example.toml
var example []byte

// Create writes the example if there is no file, and makes the directories for it. It does not change an existing file.
func Create(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("create the settings file: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create the settings file: %w", err)
	}
	_, err = f.Write(example)
	if err = errors.Join(err, f.Close()); err != nil {
		// A partial file would prevent the next attempt.
		return fmt.Errorf("create the settings file: %w", errors.Join(err, os.Remove(file)))
	}
	return nil
}
