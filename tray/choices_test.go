package tray

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"porttray/watcher/server"
)

func TestChoicesAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "porttray", "state.toml")
	hostile := serverAt(80, 1)
	hostile.Owner.Dir = "/srv/\xff \"quoted\"\n"
	for _, c := range []choices{
		{Mode: myServers},
		{Mode: noNotices, Paused: noon.Add(time.Hour)},
		{Mode: allPorts, Muted: []server.Key{
			{Port: 5173, Kind: "project", Where: "/srv/shop", Program: "Vite"}, hostile.Key()}},
	} {
		if err := writeChoices(file, c); err != nil {
			t.Fatal(err)
		}
		got, err := readChoices(file, noon)
		if err != nil || got.Mode != c.Mode || !got.Paused.Equal(c.Paused) || !slices.Equal(got.Muted, c.Muted) {
			t.Errorf("kept %+v, got back %+v, %v", c, got, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".state-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestReadChoices(t *testing.T) {
	first := choices{Mode: myServers}
	for _, c := range []struct {
		name, text string
		want       choices
		broken     bool // and the file is put aside
	}{
		{"empty", "", first, false},
		{"a mode", "notifications = 'pinned'\n", choices{Mode: pinnedOnly}, false},
		{"a pause that is over", "paused-until = 2026-03-04T11:00:00Z\n", first, false},
		{"a pause from before the clock was put back", "paused-until = 2026-03-05T12:30:00Z\n", first, false},
		{"what a later version may write", "notifications = 'off'\nsound = 'none'\n", choices{Mode: noNotices}, false},
		{"an unknown mode", "notifications = 'loud'\n", first, true},
		{"an empty mode", "notifications = ''\n", first, true},
		{"torn", "notifications = 'pin", first, true},
		{"another type", "notifications = 7\n", first, true},
		{"no text", "\x00\x01\xff", first, true},
		{"a list that is none", "muted = 'x'\n", first, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "state.toml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := readChoices(file, time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC))
			if !reflect.DeepEqual(got, c.want) || (err != nil) != c.broken {
				t.Errorf("got %+v, %v", got, err)
			}
			aside, _ := filepath.Glob(file + ".broken-*")
			if !c.broken {
				if len(aside) > 0 {
					t.Errorf("put aside as %q", aside)
				}
				return
			}
			if len(aside) != 1 {
				t.Fatalf("put aside: %q", aside)
			}
			if kept, err := os.ReadFile(aside[0]); string(kept) != c.text || err != nil {
				t.Errorf("kept aside: %q, %v", kept, err)
			}
			if _, err := os.Stat(file); !os.IsNotExist(err) {
				t.Errorf("the broken file is still in its place: %v", err)
			}
		})
	}
}

func TestReadChoicesWhereThereAreNone(t *testing.T) {
	dir := t.TempDir()
	if got, err := readChoices(filepath.Join(dir, "state.toml"), noon); err != nil || got.Mode != myServers {
		t.Errorf("no file: got %+v, %v", got, err)
	}
	if got, err := readChoices(dir, noon); err == nil || got.Mode != myServers {
		t.Errorf("a directory: got %+v, %v", got, err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("what is no file was put aside: %v", err)
	}
}

// A file behind a symbolic link stays there after a change.
func TestWriteChoicesThroughALink(t *testing.T) {
	dir := t.TempDir()
	elsewhere, file := filepath.Join(dir, "dotfiles.toml"), filepath.Join(dir, "state.toml")
	if err := os.WriteFile(elsewhere, []byte("notifications = 'all'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, file); err != nil {
		t.Skip(err)
	}
	if err := writeChoices(file, choices{Mode: noNotices}); err != nil {
		t.Fatal(err)
	}
	if got, err := readChoices(elsewhere, noon); err != nil || got.Mode != noNotices {
		t.Errorf("behind the link: %+v, %v", got, err)
	}
	if info, err := os.Lstat(file); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
}

func TestWriteChoicesWhereItCannot(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeChoices(filepath.Join(taken, "state.toml"), choices{Mode: noNotices}); err == nil {
		t.Error("below a file: no error")
	}
	if err := writeChoices(dir, choices{Mode: noNotices}); err == nil {
		t.Error("over a directory: no error")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".state-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		return // read-only directories do not stop Windows or root
	}
	file := filepath.Join(dir, "state.toml")
	if err := writeChoices(file, choices{Mode: pinnedOnly}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if err := writeChoices(file, choices{Mode: noNotices}); err == nil {
		t.Error("in a read-only directory: no error")
	}
	if got, err := readChoices(file, noon); err != nil || got.Mode != pinnedOnly {
		t.Errorf("after that: %+v, %v", got, err)
	}
}

// writerRole is the environment variable with a file. A test that has it writes choices there until it is killed.
const writerRole = "PORTTRAY_TEST_WRITER"

// A kill at any time leaves a whole file with the choices.
func TestChoicesSurviveAKill(t *testing.T) {
	muted := slices.Repeat([]server.Key{{Port: 5173, Kind: "project", Where: "/srv/shop", Program: "Vite"}}, 2000)
	if file := os.Getenv(writerRole); file != "" {
		for i := 0; ; i++ {
			c := choices{Mode: modes[i%len(modes)].mode, Muted: muted}
			if err := writeChoices(file, c); err != nil {
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
	file := filepath.Join(dir, "state.toml")
	for round := range 10 {
		writer := exec.Command(self, "-test.run=^TestChoicesSurviveAKill$")
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
		time.Sleep(time.Duration(round) * 3 * time.Millisecond) // so that it is killed at various points
		if err := writer.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = writer.Wait() // it was killed
		c, err := readChoices(file, noon)
		if err != nil || len(c.Muted) != len(muted) {
			t.Fatalf("round %d: %d muted, %v", round, len(c.Muted), err)
		}
	}
	torn := filepath.Join(dir, ".state-torn")
	if err := os.WriteFile(torn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if sweepChoices(file, time.Now()); !exists(torn) {
		t.Error("a file that may be in use was removed")
	}
	sweepChoices(file, time.Now().Add(time.Hour))
	if left, _ := filepath.Glob(filepath.Join(dir, ".state-*")); len(left) > 0 || !exists(file) {
		t.Errorf("left behind by those that were killed: %q", left)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Choices from one run hold in the next one.
func TestLoopKeepsChoices(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.toml")
	perform(t, func(s *stage) {
		s.loop.do.save = func(c choices) {
			if err := writeChoices(file, c); err != nil {
				t.Error(err)
			}
		}
		s.list(serverAt(3000, 1))
		s.click("Notifications", "All ports")
		s.click("Notifications", "Pause for an hour")
		s.click("3000", "Mute notifications")
	})
	perform(t, func(s *stage) {
		s.wait(30 * time.Minute)
		c, err := readChoices(file, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		s.loop.restore(c)
		s.list(serverAt(3000, 2))
		until := time.Now().Add(30 * time.Minute).Format("15:04")
		for _, label := range []string{"All ports", "Resume (paused until " + until} {
			if s.menu.root.find("Notifications", label) == nil {
				t.Errorf("no %q in the menu:\n%s", label, s.menu.root.text())
			}
		}
		s.list(serverAt(3000, 2), serverAt(4000, 3))
		s.wait(30 * time.Minute)
		s.expect() // paused
		s.list()
		s.wait(time.Minute)
		s.expect("node (:4000) stopped") // and 3000 is muted
	})
}
