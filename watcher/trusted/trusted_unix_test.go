//go:build unix

package trusted

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

const limit = 1 << 10

// TestRead reads everything that may be in the place of a file.
func TestRead(t *testing.T) {
	other := func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can make files of another user's")
		}
	}
	write := func(file string, n int64) error {
		return errors.Join(os.WriteFile(file, []byte("text"), 0o600), os.Truncate(file, n))
	}
	tests := []struct {
		name  string
		plant func(t *testing.T, dir, file string) error
		want  error
	}{
		{"nothing", func(*testing.T, string, string) error { return nil }, fs.ErrNotExist},
		{"a file", func(_ *testing.T, _, file string) error { return write(file, 4) }, nil},
		{"as large as may be", func(_ *testing.T, _, file string) error { return write(file, limit) }, nil},
		{"too large", func(_ *testing.T, _, file string) error { return write(file, limit+1) }, ErrTooLarge},
		{"a gigabyte", func(_ *testing.T, _, file string) error { return write(file, 1<<30) }, ErrTooLarge},
		{"directory", func(_ *testing.T, _, file string) error { return os.Mkdir(file, 0o700) }, ErrNoFile},
		{"FIFO", func(_ *testing.T, _, file string) error { return syscall.Mkfifo(file, 0o600) }, ErrNoFile},
		{"link to a file of one's own", func(_ *testing.T, dir, file string) error {
			return errors.Join(write(filepath.Join(dir, "dotfile"), 4), os.Symlink("dotfile", file))
		}, nil},
		{"link to a FIFO", func(_ *testing.T, dir, file string) error {
			return errors.Join(syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600), os.Symlink("fifo", file))
		}, ErrNoFile},
		{"link to a device without end", func(_ *testing.T, _, file string) error {
			return os.Symlink("/dev/zero", file)
		}, ErrNoFile},
		{"dangling link", func(_ *testing.T, _, file string) error { return os.Symlink("gone", file) }, fs.ErrNotExist},
		{"link to itself", func(_ *testing.T, _, file string) error {
			return os.Symlink(filepath.Base(file), file)
		}, syscall.ELOOP},
		{"another user's", func(t *testing.T, _, file string) error {
			other(t)
			return errors.Join(write(file, 4), os.Chown(file, 65534, -1))
		}, ErrForeign},
		{"link to another user's", func(t *testing.T, dir, file string) error {
			other(t)
			theirs := filepath.Join(dir, "theirs")
			return errors.Join(write(theirs, 4), os.Chown(theirs, 65534, -1), os.Symlink("theirs", file))
		}, ErrForeign},
		{"another user's link to a file of one's own", func(t *testing.T, dir, file string) error {
			other(t)
			mine := filepath.Join(dir, "mine")
			return errors.Join(write(mine, 4), os.Symlink("mine", file), os.Lchown(file, 65534, -1))
		}, ErrForeign},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "file")
			if err := tt.plant(t, dir, file); err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			text, err := Read(file, limit)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 8*limit+1<<20 {
				t.Errorf("it took %d bytes", got)
			}
			if !errors.Is(err, tt.want) || (err == nil) != (string(text[:min(4, len(text))]) == "text") {
				t.Errorf("read %q, %v, want %v", text, err, tt.want)
			}
		})
	}
}

// Something else takes the place of the file between stat and open. read does not read it.
func TestReadWhatTookItsPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"/dev/zero", "/dev/null", t.TempDir()} {
		open := func(string) (*os.File, error) { return open(place) }
		text, err := read(file, limit, os.Stat, open, func(fs.FileInfo) bool { return false })
		if !errors.Is(err, ErrNoFile) {
			t.Errorf("of %s read %q, %v", place, text, err)
		}
	}
}

// TestTarget shows that Target follows only the user's own links.
func TestTarget(t *testing.T) {
	dir := t.TempDir()
	mine, link := filepath.Join(dir, "mine"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(mine, nil, 0o600), os.Symlink("mine", link)); err != nil {
		t.Fatal(err)
	}
	if got := Target(link); filepath.Base(got) != "mine" {
		t.Errorf("one's own leads to %s", got)
	}
	if got := Target(mine); filepath.Base(got) != "mine" {
		t.Errorf("a file leads to %s", got)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user's")
	}
	if err := os.Lchown(link, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if got := Target(link); got != link {
		t.Errorf("another user's leads to %s", got)
	}
}

func TestMakeDir(t *testing.T) {
	mode := func(dir string) fs.FileMode {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := MakeDir(dir); err != nil || mode(dir) != 0o700 {
		t.Errorf("%v, mode %v", err, mode(dir))
	}
	if err := errors.Join(os.Chmod(dir, 0o777), MakeDir(dir)); err != nil || mode(dir) != 0o755 {
		t.Errorf("what everybody can write to: %v, mode %v", err, mode(dir))
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make directories of another user's")
	}
	if err := errors.Join(os.Chown(dir, 65534, -1)); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(dir); !errors.Is(err, ErrForeign) {
		t.Errorf("another user's: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Symlink(t.TempDir(), link), MakeDir(link)); err != nil {
		t.Errorf("a link of one's own: %v", err)
	}
	if err := os.Lchown(link, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if err := MakeDir(link); !errors.Is(err, ErrForeign) {
		t.Errorf("another user's link to a directory of one's own: %v", err)
	}
}

// The clock was put back by a day. Sweep keeps temporary files from before until the clock has caught up.
func TestSweep(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	for name, age := range map[string]time.Duration{
		"tmp-tomorrow": -24 * time.Hour, "tmp-now": 0, "tmp-young": Abandoned - time.Second,
		"tmp-old": Abandoned + time.Second, "tmp-yesterday": 24 * time.Hour, "other": 24 * time.Hour,
	} {
		file := filepath.Join(dir, name)
		err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chtimes(file, time.Time{}, now.Add(-age)))
		if err != nil {
			t.Fatal(err)
		}
	}
	Sweep(dir, "tmp-", now)
	if got, want := names(t, dir), []string{"other", "tmp-now", "tmp-tomorrow", "tmp-young"}; !slices.Equal(got, want) {
		t.Errorf("%q are left, want %q", got, want)
	}
	Sweep(dir, "tmp-", now.Add(48*time.Hour))
	if got, want := names(t, dir), []string{"other"}; !slices.Equal(got, want) {
		t.Errorf("two days later %q are left, want %q", got, want)
	}
}

// names returns the sorted names in a directory.
func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A FIFO takes the place of the file at the last moment. open does not wait for its other end.
func TestOpenWaitsForNobody(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() {
		for _, open := range []func(string) (*os.File, error){open, openNoLink} {
			f, err := open(file)
			if err == nil {
				err = f.Close()
			}
			done <- err
		}
	}()
	for range 2 {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it waits for the other end")
		}
	}
}

// A symbolic link takes the place of the file at the last moment. openNoLink does not follow it.
func TestOpenFollowsNoLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "file")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	if f, err := openNoLink(link); err == nil {
		f.Close()
		t.Error("it was opened")
	}
}
