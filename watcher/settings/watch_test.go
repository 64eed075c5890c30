package settings

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWatch changes a file as editors do. Watch delivers each change.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "porttray", "config.toml") // the directory is not there either
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan Change), make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, file, changes)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(what string, interval time.Duration, problem string) {
		t.Helper()
		select {
		case c := <-changes:
			got := ""
			if c.Err != nil {
				got = c.Err.Error()
			}
			if time.Duration(c.Interval) != interval || got != problem {
				t.Errorf("%s: %v, %q, want %v, %q", what, time.Duration(c.Interval), got, interval, problem)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: nothing is delivered", what)
		}
	}
	expect("no file", 0, "")
	write(file, "interval = \"2s\"")
	expect("a new file", 2*time.Second, "")
	write(file, "intervall = \"5s\"")
	expect("a wrong one", 0,
		`config.toml line 1: there is no "intervall"; the file has interval, terminal and [[rule]]`)
	write(file+"~", "interval = \"3s\"")
	if err := os.Rename(file+"~", file); err != nil {
		t.Fatal(err)
	}
	expect("another in its place", 3*time.Second, "")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	expect("none any more", 0, "")
	elsewhere := filepath.Join(dir, "dotfiles.toml")
	write(elsewhere, "interval = \"4s\"")
	if err := os.Symlink(elsewhere, file); err != nil {
		t.Skip(err)
	}
	expect("a link", 4*time.Second, "")
	write(elsewhere, "interval = \"15s\"")
	expect("what it leads to", 15*time.Second, "")
}
