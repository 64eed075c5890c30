package tray

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOpenInstance has a second instance ask the first one to show itself. The last one cannot ask.
func TestOpenInstance(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	only, err := openInstance()
	if err != nil {
		t.Fatal(err)
	}
	defer only.close()
	if _, err := openInstance(); !errors.Is(err, ErrRunning) ||
		err.Error() != "porttray is already running; it shows a notification" {
		t.Error(err)
	}
	if !exists(only.showFile) {
		t.Error("nobody rang")
	}
	if err := os.Remove(only.showFile); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(only.showFile, 0o700); err != nil { // no file can replace a directory
		t.Fatal(err)
	}
	want := "porttray is already running, and cannot be asked to show itself: open " +
		filepath.Join(dir, "porttray", "show") + ": file exists"
	if _, err := openInstance(); !errors.Is(err, ErrRunning) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestReadChoicesFromAPipe reads choices from a pipe without a writer.
func TestReadChoicesFromAPipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.toml")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := readChoices(file, noon); !errors.Is(err, errKept) || c.Mode != myServers {
		t.Errorf("got %+v, %v", c, err)
	}
}

// TestOpenInstanceIsNotMisled replaces the lock and the show file. Nothing blocks or writes elsewhere.
func TestOpenInstanceIsNotMisled(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	dir, precious := filepath.Join(runtime, "porttray"), filepath.Join(runtime, "precious")
	if err := errors.Join(os.Mkdir(dir, 0o777), os.Chmod(dir, 0o777), os.WriteFile(precious, []byte("text"), 0o600),
		syscall.Mkfifo(filepath.Join(dir, "lock"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if i, err := openInstance(); err != nil || i.lock != nil {
		t.Errorf("with a FIFO for a lock: %+v, %v", i, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o022 != 0 {
		t.Errorf("others can write to the directory: %v, %v", info.Mode(), err)
	}
	if err := os.Remove(filepath.Join(dir, "lock")); err != nil {
		t.Fatal(err)
	}
	only, err := openInstance()
	if err != nil || only.lock == nil {
		t.Fatal(only, err)
	}
	defer only.close()
	for _, target := range []string{precious, filepath.Join(runtime, "new"), "/dev/full"} {
		if err := os.Symlink(target, only.showFile); err != nil {
			t.Fatal(err)
		}
		if _, err := openInstance(); !errors.Is(err, ErrRunning) {
			t.Error(err)
		}
		if err := os.Remove(only.showFile); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(precious); string(text) != "text" || exists(filepath.Join(runtime, "new")) {
		t.Errorf("something was written through the show file: %q, %v", text, err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make directories of another user's")
	}
	only.close()
	if err := os.Chown(dir, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if i, err := openInstance(); err != nil || i.lock != nil {
		t.Errorf("with a directory of another user's: %+v, %v", i, err)
	}
}

// TestOthersChooseNothing puts another user's files and links at the choices. Nobody reads or overwrites them.
func TestOthersChooseNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user's")
	}
	dir := t.TempDir()
	file, precious := filepath.Join(dir, "state.toml"), filepath.Join(dir, "precious")
	if err := errors.Join(os.WriteFile(precious, []byte("# mine\n"), 0o600), os.Symlink("precious", file),
		os.Lchown(file, 65534, -1)); err != nil {
		t.Fatal(err)
	}
	if c, err := readChoices(file, noon); !errors.Is(err, errKept) || c.Mode != myServers {
		t.Errorf("by another user's link: %+v, %v", c, err)
	}
	if err := writeChoices(file, choices{Mode: noNotices}); err != nil { // as if the link came later
		t.Error(err)
	}
	if text, err := os.ReadFile(precious); string(text) != "# mine\n" {
		t.Errorf("what another user linked to was written over: %q, %v", text, err)
	}
	if err := errors.Join(os.WriteFile(file, []byte("notifications = 'off'\n"), 0o644),
		os.Chown(file, 65534, -1)); err != nil {
		t.Fatal(err)
	}
	if c, err := readChoices(file, noon); !errors.Is(err, errKept) || c.Mode != myServers {
		t.Errorf("of another user: %+v, %v", c, err)
	}
}
