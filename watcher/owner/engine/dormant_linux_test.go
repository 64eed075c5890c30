package engine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestActivated(t *testing.T) {
	const booted, unit = "run/systemd/system/x", "systemd/system/docker.socket"
	tests := []struct {
		name  string
		files []string
		want  bool
	}{
		{"nothing", nil, false},
		{"no unit", []string{booted}, false},
		{"no systemd", []string{"usr/lib/" + unit}, false},
		{"a package's unit", []string{booted, "usr/lib/" + unit}, true},
		{"an old package's unit", []string{booted, "lib/" + unit}, true},
		{"the administrator's unit", []string{booted, "etc/" + unit}, true},
		{"another unit", []string{booted, "usr/lib/systemd/system/docker.service"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, name := range tt.files {
				write(t, filepath.Join(root, name), "x")
			}
			if got := activated(root); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestRunning(t *testing.T) {
	// A process with the name dockerd. It runs until its standard input closes.
	dockerd := filepath.Join(t.TempDir(), "dockerd")
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Skip(err)
	}
	data, err := os.ReadFile(cat)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dockerd, data, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(dockerd)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	alive := fmt.Sprint(cmd.Process.Pid)
	tests := []struct {
		name, pidFile string
		want          bool
	}{
		{"alive", alive, true},
		{"alive, with a line break", alive + "\n", true},
		{"another program", fmt.Sprint(os.Getpid()), false},
		{"no number", "dockerd", false},
		{"a path", "../" + alive, false},
		{"negative", "-" + alive, false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "docker.pid")
			write(t, file, tt.pidFile)
			if got := running(file); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "docker.pid")
	write(t, file, alive)
	if running(file) {
		t.Error("it counts as running after its end")
	}
}
