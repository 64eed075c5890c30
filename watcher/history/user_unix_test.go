//go:build unix

package history

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is a user other than root and the user of the tests.
const nobody = 65534

// Read does not wait for a FIFO without a writer.
func TestLoadFIFO(t *testing.T) {
	file := filepath.Join(t.TempDir(), name)
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := load(file, "today", noon)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits for the other end")
	}
}

// Another user's file is rejected, even if everybody may read it.
func TestLoadForeign(t *testing.T) {
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(`{"closed":[{"port":5173,"closed":"2026-03-04T11:00:00Z"}]}`),
		0o644); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	} else {
		file = "/etc/passwd" // root's
	}
	got, _, err := load(file, "today", noon)
	if err == nil || !strings.Contains(err.Error(), file+": it is another user's") || len(got.Closed) > 0 ||
		errors.Is(err, errBroken) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Root creates nothing if $HOME belongs to another user.
func TestMakeDirBelowAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make something in another user's directory")
	}
	home := t.TempDir()
	mine := filepath.Join(home, "mine")
	if err := errors.Join(os.Mkdir(mine, 0o700), os.Chown(home, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, ".local", "state", "porttray")
	if err := makeDir(dir); err == nil || !strings.Contains(err.Error(), home+" is another user's") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(filepath.Join(home, ".local")); !os.IsNotExist(err) {
		t.Errorf("something was made: %v", err)
	}
	if err := makeDir(filepath.Join(mine, "state", "porttray")); err != nil {
		t.Errorf("below a directory of its own: %v", err)
	}
}

func TestLoadUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(`{}`), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(file, "today", noon); !errors.Is(err, os.ErrPermission) || errors.Is(err, errBroken) ||
		!strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
}
