package project

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"porttray/watcher/project/projecttest"
)

// TestProjectHostile has hostile files in the place of a marker. Beside it is a go.mod, a later marker in order.
func TestProjectHostile(t *testing.T) {
	tests := []struct {
		name  string
		plant func(file string) error
		want  string
	}{
		{"FIFO", func(file string) error { return syscall.Mkfifo(file, 0o600) }, "api"},
		{"link to itself", func(file string) error { return os.Symlink(filepath.Base(file), file) }, "api"},
		{"dangling link", func(file string) error { return os.Symlink("gone", file) }, "api"},
		{"link to a device", func(file string) error { return os.Symlink("/dev/zero", file) }, "api"},
		{"link to a terminal", func(file string) error { return os.Symlink("/dev/tty", file) }, "api"},
		{"link to a FIFO", func(file string) error {
			fifo := filepath.Join(filepath.Dir(file), "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				return err
			}
			return os.Symlink(fifo, file)
		}, "api"},
		{"link to a file", func(file string) error {
			target := filepath.Join(filepath.Dir(file), "real")
			if err := os.WriteFile(target, []byte(`{"name": "shop"}`), 0o600); err != nil {
				return err
			}
			return os.Symlink("real", file)
		}, "shop"},
		{"link to a directory", func(file string) error { return os.Symlink(".", file) }, "api"},
		{"a gigabyte of nothing", func(file string) error {
			if err := os.WriteFile(file, []byte(`{"name": "shop"}`), 0o600); err != nil {
				return err
			}
			return os.Truncate(file, 1<<30)
		}, "a"},
		{"size that the kernel does not tell", func(file string) error { return os.Symlink("/proc/self/status", file) },
			"a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home := projecttest.TempHome(t)
			projecttest.Plant(t, home, map[string]string{"a/go.mod": "module api\n"})
			want := Project{Name: tt.want, Dir: filepath.Join(home, "a")}
			if err := tt.plant(filepath.Join(want.Dir, "package.json")); err != nil {
				t.Fatal(err)
			}
			if got := Find(t.Context(), want.Dir, home); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// TestProjectLargeCost shows that a huge marker is not read.
func TestProjectLargeCost(t *testing.T) {
	home := projecttest.TempHome(t)
	projecttest.Plant(t, home, map[string]string{"a/package.json": "{}"})
	dir := filepath.Join(home, "a")
	if err := os.Truncate(filepath.Join(dir, "package.json"), 1<<30); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got := Find(t.Context(), dir, home); got.Name != "a" {
		t.Errorf("got %+v, want the directory's name", got)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 2*large {
		t.Errorf("it took %d bytes of memory", n)
	}
}

// TestOpenFile shows that open does not block if the file has become a FIFO.
func TestOpenFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openFile(fifo)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
