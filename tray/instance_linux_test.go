package tray

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOpenInstance has a second instance ask the first one to show itself, and then one that cannot.
func TestOpenInstance(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	only, err := openInstance()
	if err != nil {
		t.Fatal(err)
	}
	defer only.close()
	if _, err := openInstance(); !errors.Is(err, ErrRunning) || err.Error() != "porttray runs already; it shows itself by a notification" {
		t.Error(err)
	}
	if !exists(only.bell) {
		t.Error("nobody rang")
	}
	if err := os.Remove(only.bell); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(only.bell, 0o700); err != nil { // which no file can take the place of
		t.Fatal(err)
	}
	want := "porttray runs already, and cannot be asked to show itself: open " + filepath.Join(dir, "porttray", "show") + ": is a directory"
	if _, err := openInstance(); !errors.Is(err, ErrRunning) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestReadChoicesFromAPipe has a pipe where the choices should be, to which nobody ever writes.
func TestReadChoicesFromAPipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.toml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Skip(err)
	}
	if c, err := readChoices(file, noon); !errors.Is(err, errKept) || c.Mode != myServers {
		t.Errorf("got %+v, %v", c, err)
	}
}
