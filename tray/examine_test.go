package tray

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"porttray/watcher/doctor"
)

func TestExamineChoices(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("where the choices are kept is told by the environment on Linux only")
	}
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700),
				os.WriteFile(file, []byte(text), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name  string
		begin func(t *testing.T, dir string) // dir holds porttray/state.toml
		state doctor.State
		says  string // DIR stands for dir
		fix   string
	}{
		{"first start", func(*testing.T, string) {}, doctor.Works,
			"your menu choices are saved in DIR/porttray/state.toml (no such file yet)", ""},
		{"kept", write("porttray/state.toml", "notifications = 'off'\n"), doctor.Works,
			"your menu choices are saved in DIR/porttray/state.toml", ""},
		{"in no order", write("porttray/state.toml", "notifications = 'lo\x1bud'\n"), doctor.Lacks,
			"DIR/porttray/state.toml is invalid; the next start renames it: toml: ",
			"correct it or delete it"},
		{"unknown mode", write("porttray/state.toml", "notifications = 'loud'\n"), doctor.Lacks,
			"DIR/porttray/state.toml is invalid; the next start renames it: " +
				`notifications = "loud" is not all, mine, pinned or off`, "correct it or delete it"},
		{"a directory", func(t *testing.T, dir string) {
			if err := os.MkdirAll(filepath.Join(dir, "porttray/state.toml"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, doctor.Lacks, "DIR/porttray/state.toml cannot be read, so choices are not saved: ",
			"let this user read and write DIR/porttray/state.toml"},
		{"a file in the way", write("porttray", ""), doctor.Lacks,
			"DIR/porttray/state.toml cannot be read, so choices are not saved: ",
			"let this user read and write DIR/porttray/state.toml"},
		{"a link to where nothing can be made", func(t *testing.T, dir string) {
			file := filepath.Join(dir, "porttray")
			if err := errors.Join(os.MkdirAll(dir, 0o700), os.Symlink("/proc/self", file)); err != nil {
				t.Fatal(err)
			}
		}, doctor.Lacks, "your menu choices cannot be saved in DIR/porttray/state.toml: open ",
			"let this user write to DIR/porttray, and make sure that the disk is not full"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("HOME", filepath.Join(dir, "home"))
			t.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
			tt.begin(t, filepath.Join(dir, "state"))
			before := tree(t, dir)
			f := examineChoices()
			says, fix := strings.ReplaceAll(f.Says, dir+"/state", "DIR"), strings.ReplaceAll(f.Fix, dir+"/state", "DIR")
			if f.Topic != "choices" || f.State != tt.state || f.Fatal || fix != tt.fix ||
				!strings.HasPrefix(says, tt.says) || says != tt.says && !strings.HasSuffix(tt.says, ": ") &&
				!strings.HasSuffix(tt.says, ": open ") {
				t.Errorf("%v: %s → %s\nwant %v: %s → %s", f.State, says, fix, tt.state, tt.says, tt.fix)
			}
			if got := tree(t, dir); got != before {
				t.Errorf("there are the files\n%s\nthere were\n%s", got, before)
			}
		})
	}
}

// tree lists the files below a directory.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		files = append(files, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(files, "\n")
}

func TestExamineElsewhere(t *testing.T) {
	const lacks = ", but this terminal runs over ssh: without a command, porttray then watches in the terminal"
	tests := []struct {
		goos      string
		remote    bool
		installed string // the notifier program in PATH
		session   string
		notices   string // the text on notifications
	}{
		{"windows", false, "", "a Windows desktop", "shown as toasts; a click opens the server."},
		{"windows", true, "", "a Windows desktop" + lacks, "shown as toasts; a click opens the server."},
		{"darwin", false, "", "a macOS desktop",
			"shown by osascript, under the name of Script Editor; a click does not"},
		{"darwin", false, "terminal-notifier", "a macOS desktop",
			"shown by terminal-notifier; a newer one replaces"},
		{"darwin", true, "other", "a macOS desktop" + lacks,
			"shown by osascript, under the name of Script Editor; a click does not"},
	}
	for _, tt := range tests {
		all := examineElsewhere(tt.goos, tt.remote, func(name string) (string, error) {
			if name == tt.installed {
				return "/bin/" + name, nil
			}
			return "", os.ErrNotExist
		})
		if len(all) != 3 || all[0].Says != tt.session || (all[0].State == doctor.Lacks) != tt.remote ||
			!strings.HasPrefix(all[2].Says, tt.notices) {
			t.Errorf("%+v: %+v", tt, all)
		}
		for _, f := range all {
			if f.Fatal || (f.State == doctor.Works) != (f.Fix == "") {
				t.Errorf("%+v: %+v", tt, f)
			}
		}
	}
}
