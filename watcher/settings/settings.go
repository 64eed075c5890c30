// Package settings reads what the person wrote down about how porttray is to behave: config.toml in the user's configuration
// directory. The file is optional and is never written by porttray, but for an example where there is none.
package settings

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"porttray/watcher/trusted"
)

// Settings are what is in the file. The zero value is that of no file.
type Settings struct {
	// Interval is the pause between two looks at the ports, from 250 ms to a minute; 0 means the usual one.
	Interval Interval `json:"interval,omitzero"`
	// Terminal is the program, with its arguments, that opens a terminal; it is started in the directory to be shown. Empty means
	// what the system has.
	Terminal string `json:"terminal,omitempty"`
	// Rules are tried in order, and the first that a listener matches counts.
	Rules []Rule `json:"rules,omitempty"`
}

// An Interval is a time as it is written in the file: "2s".
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

// MarshalText writes it as it is read.
func (i Interval) MarshalText() ([]byte, error) { return []byte(time.Duration(i).String()), nil }

// maxFile is the size of the largest file that is read, in bytes.
const maxFile = 1 << 20

// An Error is what is wrong with the file, and where. Its text begins with the file's name and the line.
type Error struct {
	File    string
	Line    int // 1 is the first; 0 if it is about the file as a whole
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

// File returns where the file is, whether or not it is there: config.toml in the directory porttray below $XDG_CONFIG_HOME, or what
// the system has for it.
func File() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the directory for settings: %w", err)
	}
	return filepath.Join(dir, "porttray", "config.toml"), nil
}

// Read reads a file. One that is not there is as good as an empty one. Any error is an *Error, and the settings are then the zero
// value: a file is taken as a whole or not at all. One of another user's is not taken, because it could name programs to run.
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

//go:embed example.toml
var example []byte

// Example returns a file with all that can be set, all of it commented out.
func Example() []byte { return bytes.Clone(example) }

// Create writes the example where there is no file, and the directories that it needs. A file that is there stays as it is.
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
		// A part of it would stand in the way of the whole.
		return fmt.Errorf("create the settings file: %w", errors.Join(err, os.Remove(file)))
	}
	return nil
}
