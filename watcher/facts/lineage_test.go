package facts

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"porttray/watcher/owner"
)

// TestLineageOfSelf reads this process on any system: its arguments, its program and its parent.
func TestLineageOfSelf(t *testing.T) {
	self, err := owner.Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	self.Dir = dir
	line, _ := lineage(t.Context(), self, false)
	if len(line) == 0 || len(line) > maxLineage {
		t.Fatalf("got %d members", len(line))
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m := line[0]
	if m.PID != self.PID || m.Start != self.Start || !slices.Equal(m.args, os.Args) || m.exe != exe || m.dir != dir ||
		m.file != exe {
		t.Errorf("got %+v\nwant the process %+v, program %s, arguments %q, directory %s", m, self, exe, os.Args, dir)
	}
	for p, at := self, 1; at < len(line); at++ {
		parent, ok := owner.Parent(p)
		if !ok || line[at].PID != parent.PID || line[at].Start != parent.Start {
			t.Errorf("ancestor %d is %+v, want %+v, %v", at, line[at].ID, parent, ok)
		}
		p = parent
	}
}

func TestLineageOfNobody(t *testing.T) {
	self, err := owner.Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	earlier := self
	earlier.Start--
	for name, p := range map[string]owner.Process{"an earlier process of that PID": earlier,
		"no process": {PID: 1<<31 - 1}, "unknown": {}} {
		if line, _ := lineage(t.Context(), p, false); len(line) > 0 {
			t.Errorf("%s: got %+v", name, line)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if line, _ := lineage(done, self, false); len(line) > 1 {
		t.Errorf("after the end of the context: got %+v", line)
	}
}

func TestStarts(t *testing.T) {
	tests := []struct {
		line, exe, name string
		want            bool
	}{
		{"bash", "/usr/bin/bash", "bash", true},
		{"-zsh", "/usr/bin/zsh", "zsh", true},
		{"-bash --rcfile x", "/usr/bin/bash", "bash", true},
		{"/bin/bash --init-file /usr/share/code/shellIntegration-bash.sh", "/usr/bin/bash", "bash", true},
		{"fish -l", "/usr/bin/fish", "fish", true},
		{"sh|-c|vite", "/usr/bin/dash", "sh", false},
		{"sh|-c|cd web; vite", "/usr/bin/dash", "sh", false},
		{"bash run.sh", "/usr/bin/bash", "run.sh", false},
		{"nginx", "/usr/sbin/nginx", "nginx", false},
		{"node bash", "/usr/bin/node", "node", false},
		{"/usr/lib/systemd/systemd --user", "/usr/lib/systemd/systemd", "systemd", true},
		{"/usr/libexec/gnome-terminal-server", "", "gnome-terminal-", true},
		{"/usr/bin/python3 /usr/bin/gnome-terminal", "/usr/bin/python3.11", "python3", false},
		{"tmux new -s x", "/usr/bin/tmux", "tmux: server", true},
		{"sshd: ann@pts/0|", "", "sshd", true},
		{"/usr/bin/containerd-shim-runc-v2 -namespace moby", "", "containerd-shim", true},
		{`C:\Windows\explorer.exe`, `C:\Windows\explorer.exe`, "explorer.exe", true},
		{`C:\Windows\system32\cmd.exe|/d|/s|/c|vite`, `C:\Windows\system32\cmd.exe`, "cmd.exe", false},
		{`C:\Windows\system32\cmd.exe`, `C:\Windows\system32\cmd.exe`, "cmd.exe", true},
		{"/usr/share/code/code", "/usr/share/code/code", "code", false},
	}
	for _, tt := range tests {
		m := newMember(member{ID: owner.ID{PID: 2}, args: toolLine{line: tt.line}.args(), exe: tt.exe, name: tt.name})
		if got := m.isStarter(); got != tt.want {
			t.Errorf("%s (%s): got %v", tt.line, tt.name, got)
		}
	}
	if m := newMember(member{ID: owner.ID{PID: 2}, exe: "/usr/bin/bash", name: "bash"}); !m.isStarter() {
		t.Error("a shell without arguments does not count")
	}
	if m := newMember(member{ID: owner.ID{PID: 1}, name: "x"}); !m.isStarter() {
		t.Error("the first process does not count")
	}
	if !starters["gnome-session-b"] || starters[""] || starters[strings.Repeat("x", 15)] {
		t.Error("the names are not cut off as Linux does")
	}
}
