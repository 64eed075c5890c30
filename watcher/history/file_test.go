package history

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"porttray/watcher"
	"porttray/watcher/server"
	"porttray/watcher/trusted"
)

// moveHome moves this user's files to a new directory, and returns it.
func moveHome(t *testing.T) string {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("AppData", filepath.Join(home, "AppData"))
	t.Setenv("XDG_STATE_HOME", "")
	return home
}

func TestDir(t *testing.T) {
	home := moveHome(t)
	want := map[string]string{
		"linux": filepath.Join(home, ".local", "state", "porttray"), "windows": filepath.Join(home, "AppData",
			"porttray"),
		"darwin": filepath.Join(home, "Library", "Application Support", "porttray"),
	}[runtime.GOOS]
	if got, err := Dir(); got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if runtime.GOOS != "linux" {
		return
	}
	for state, want := range map[string]string{"/srv/state": "/srv/state/porttray", "not/absolute": want} {
		t.Setenv("XDG_STATE_HOME", state)
		if got, err := Dir(); got != want || err != nil {
			t.Errorf("below %q: got %q, %v, want %q", state, got, err, want)
		}
	}
}

// Another process of this user can read the file, and other users cannot.
func TestRead(t *testing.T) {
	moveHome(t)
	if got, err := Read(); err != nil || len(got.seen.Closed) > 0 {
		t.Errorf("where nothing was seen: %+v, %v", got, err)
	}
	r := NewRecorder()
	r.relevant(nil)
	now := time.Now()
	c := r.closed(server.Alone(serves(5173, 1)), crashed, watcher.Snapshot{Time: now})[0]
	c.now, _ = identity(serves(5173, 2))
	if err := r.merge([]closing{c}, now); err != nil {
		t.Fatal(err)
	}
	got, err := Read()
	if p, ok := got.Last(5173); err != nil || !ok || p.Reason != "exited with status 1" || !p.Closed.Equal(stamp(now)) {
		t.Errorf("got %+v, %v, %v", p, ok, err)
	}
	if _, ok := got.Last(5174); ok {
		t.Error("there is one on another port")
	}
	if n := got.Restarts(serves(5173, 2)); n != 1 {
		t.Errorf("%d restarts", n)
	}
	if runtime.GOOS == "windows" {
		return // it has other permissions
	}
	for path, want := range map[string]os.FileMode{r.file: 0o600, filepath.Dir(r.file): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// An invalid file gives an error with its name, and no facts.
func TestLoad(t *testing.T) {
	whole := `{"closed":[{"port":5173,"closed":"2026-03-04T11:00:00Z"}]}`
	for _, c := range []struct {
		name   string
		make   func(file string) error
		broken bool
		err    string // a part of the error; empty if there is none
	}{
		{"none", func(string) error { return nil }, false, ""},
		{"whole", func(file string) error { return os.WriteFile(file, []byte(whole), 0o600) }, false, ""},
		{"torn", func(file string) error { return os.WriteFile(file, []byte(whole[:40]), 0o600) }, true,
			"it is invalid"},
		{"as large as may be", func(file string) error {
			return os.WriteFile(file, []byte(whole+strings.Repeat(" ", maxFile-len(whole))), 0o600)
		}, false, ""},
		{"too large", func(file string) error {
			return os.WriteFile(file, []byte(whole+strings.Repeat(" ", maxFile-len(whole)+1)), 0o600)
		}, true, "more than 1048576 bytes"},
		{"huge", func(file string) error {
			return errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 1<<40))
		}, true, "more than 1048576 bytes"},
		{"a directory", func(file string) error { return os.Mkdir(file, 0o700) }, false, "not a regular file"},
		{"a symbolic link", func(file string) error {
			elsewhere := file + ".elsewhere"
			return errors.Join(os.WriteFile(elsewhere, []byte(whole), 0o600), os.Symlink(elsewhere, file))
		}, false, "not a regular file"},
		{"a link to nowhere", func(file string) error { return os.Symlink(file+".nowhere", file) }, false,
			"not a regular file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), name)
			if err := c.make(file); err != nil {
				t.Skip(err) // the system cannot create such a file
			}
			got, text, err := load(file, "today", noon)
			if (err != nil) != (c.err != "") || err != nil && !(strings.Contains(err.Error(), c.err) &&
				strings.Contains(err.Error(), file)) {
				t.Errorf("got %v, want %q", err, c.err)
			}
			if errors.Is(err, errBroken) != c.broken || err != nil && (len(got.Closed) > 0 || text != nil) {
				t.Errorf("got %+v, %q, %v", got, text, err)
			}
		})
	}
}

// Restarts do not count if the start of the computer is unknown or different.
func TestLoadRestarts(t *testing.T) {
	const text = `{"boot":%q,"live":[{"port":80,"pid":1,"start":1,"restarts":2,"seen":"2026-03-04T11:00:00Z"}]}`
	for _, c := range []struct {
		then, now string
		want      int
	}{{"today", "today", 2}, {"yesterday", "today", 0}, {"", "today", 0}, {"today", "", 0}, {"", "", 0}} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, fmt.Appendf(nil, text, c.then), 0o600); err != nil {
			t.Fatal(err)
		}
		seen, _, err := load(file, c.now, noon)
		if got := (History{seen}).Restarts(serves(80, 1)); got != c.want || err != nil {
			t.Errorf("written in boot %q, read in %q: %d restarts, %v, want %d", c.then, c.now, got, err, c.want)
		}
	}
}

// A failed write leaves no file behind.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	if err := os.Mkdir(file, 0o700); err != nil { // as if it appeared at the last moment
		t.Fatal(err)
	}
	if err := replace(file, []byte("{}")); err == nil {
		t.Error("over a directory: no error")
	}
	if err := replace(filepath.Join(file, "x", name), nil); err != nil {
		t.Errorf("in a directory that is to be made: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// The recorder writes neither over a symbolic link nor to its target.
func TestMergeLeavesAlone(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(filepath.Join(dir, name))
	r.relevant(nil)
	elsewhere := filepath.Join(dir, "precious")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, r.file); err != nil {
		t.Skip(err)
	}
	c := r.closed(server.Alone(serves(80, 1)), ended, watcher.Snapshot{Time: time.Now()})
	if err := r.merge(c, time.Now()); err == nil {
		t.Error("over a symbolic link: no error")
	}
	if text, err := os.ReadFile(elsewhere); string(text) != "precious" || err != nil {
		t.Errorf("behind the link: %q, %v", text, err)
	}
	if info, err := os.Lstat(r.file); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
}

// A reader always finds a whole file while two recorders write, and in the end the closings of both.
func TestWriteWhileReading(t *testing.T) {
	file := filepath.Join(t.TempDir(), name)
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			r := newRecorder(file)
			r.relevant(nil)
			for i := range 200 {
				c := r.closed(server.Alone(serves(uint16(1+i%20+100*w), int32(1+i))), ended,
					watcher.Snapshot{Time: time.Now()})
				if err := r.merge(c, time.Now()); err != nil && runtime.GOOS != "windows" { // a reader blocks it
					t.Error(err)
				}
			}
		})
	}
	readers.Go(func() {
		for {
			if _, _, err := load(file, boot(), time.Now()); err != nil && runtime.GOOS != "windows" {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	writers.Wait()
	close(stop)
	readers.Wait()
	got, _, err := load(file, boot(), time.Now())
	if err != nil || len(got.Closed) < 30 { // a few closings can get lost
		t.Errorf("%d closings, %v", len(got.Closed), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// writerRole is the environment variable that makes a test write a file until it is killed.
const writerRole = "PORTTRAY_TEST_HISTORY"

// A killed writer always leaves a whole file.
func TestFileSurvivesAKill(t *testing.T) {
	if file := os.Getenv(writerRole); file != "" {
		r := newRecorder(file)
		r.relevant(nil)
		for i := 0; ; i++ {
			var news []closing
			for p := range maxPorts {
				news = append(news, r.closed(server.Alone(serves(uint16(1+p), int32(1+i))), crashed,
					watcher.Snapshot{Time: time.Now()})...)
			}
			if err := r.merge(news, time.Now()); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				fmt.Println("writing")
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	for round := range 20 {
		writer := exec.Command(self, "-test.run=^TestFileSurvivesAKill$")
		writer.Env = append(os.Environ(), writerRole+"="+file, "TMPDIR="+dir, "TMP="+dir)
		out, err := writer.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Start(); err != nil {
			t.Fatal(err)
		}
		line := make([]byte, 64)
		n, err := out.Read(line)
		if err != nil || !bytes.HasPrefix(line[:n], []byte("writing")) {
			t.Errorf("the writer says %q, %v", line[:n], err)
		}
		time.Sleep(time.Duration(round) * time.Millisecond) // kill it at various points
		if err := writer.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = writer.Wait() // it was killed
		got, _, err := load(file, boot(), time.Now())
		if err != nil || len(got.Closed) != maxPorts {
			t.Fatalf("round %d: %d closings, %v", round, len(got.Closed), err)
		}
	}
}

// The leftovers of killed writers are removed.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	old, fresh, others := filepath.Join(dir, ".seen.json-1"), filepath.Join(dir, ".seen.json-2"),
		filepath.Join(dir, ".state-3")
	now := time.Now()
	for _, file := range []string{old, fresh, others} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, time.Time{}, now.Add(-2*trusted.Abandoned)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(fresh, time.Time{}, now); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(filepath.Join(dir, name))
	r.relevant(nil)
	if err := r.merge(r.closed(server.Alone(serves(80, 1)), ended, watcher.Snapshot{Time: now}), now); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || strings.Join(left, " ") != fresh+" "+others {
		t.Errorf("left: %q, %v", left, err)
	}
}
