package terminal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"porttray/watcher/doctor"
)

func TestReport(t *testing.T) {
	r := report{"v1.2.3", []doctor.Finding{
		{Topic: "system", Says: "Debian GNU/Linux 12 (bookworm), Linux 6.1.0, amd64"},
		{Topic: "owners", State: doctor.Lacks,
			Says: "the owners of 1 of 5 listeners are hidden; held by other users' processes: 5432",
			Fix:  "look as that user, or as root; the tray needs neither"},
		{Topic: "tray host", State: doctor.Broken, Fatal: true,
			Says: "nothing here shows tray icons: nobody has the name org.kde.StatusNotifierWatcher on the session bus",
			Fix: "add the panel's plugin for a status notifier; on GNOME, install the package " +
				"gnome-shell-extension-appindicator and log in again"},
		{Topic: "hostile", Says: "\x1b[2J\u202e\nowned", State: doctor.Lacks, Fix: "\x1b]0;x\a"},
	}}
	text := r.text(style{width: 80})
	golden(t, "doctor.txt", text)
	golden(t, "doctor_colour.txt", r.text(style{width: 60, colour: true}))
	for line := range strings.Lines(string(text)) {
		if runewidth.StringWidth(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
	var b bytes.Buffer
	if err := writeJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "doctor.json", b.Bytes())
	matches(t, "doctor.schema.json", b.Bytes())
}

// TestDoctor runs the doctor with and without a fatal finding.
func TestDoctor(t *testing.T) {
	for fatal, code := range map[string]int{"": 0, "1": 1} {
		cmd := porttray(t, "doctor")
		cmd.Env = append(cmd.Env, fatalKey+"="+fatal)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != code ||
			!regexp.MustCompile(`(?s)^porttray v1\.2\.3\n\n.*listeners .*scripted.*memory .*seen\.json\n$`).Match(out) {
			t.Errorf("exit status %d, want %d; wrote\n%s", cmd.ProcessState.ExitCode(), code, out)
		}
	}
}

// TestMemory has state directories that are new, read-only and broken.
func TestMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		state string
		text  string // in the file, if there is one
		fix   string // a part of the fix; empty if all is well
	}{
		"new":          {state: filepath.Join(t.TempDir(), "state")},
		"not writable": {state: "/proc", fix: "let this user write to /proc/porttray"}, // not even by root
		"broken":       {state: t.TempDir(), text: "{", fix: "delete the file"},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("the file is elsewhere")
			}
			t.Setenv("XDG_STATE_HOME", tt.state)
			if dir := filepath.Join(tt.state, "porttray"); tt.text != "" {
				if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "seen.json"),
					[]byte(tt.text), 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			if f := memory(); (f.State == doctor.Works) != (tt.fix == "") || !strings.Contains(f.Fix, tt.fix) {
				t.Errorf("found %+v", f)
			}
		})
	}
}
