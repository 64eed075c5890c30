package engine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// dormant reports whether to connect to Docker's socket could start the engine: systemd holds the socket while the unit
// docker.socket is active, whether the engine runs or not, and nothing tells the two apart without connecting. So where systemd
// runs and has such a unit, the engine counts as running only when its PID file names a process that is dockerd. The file is
// beside the socket, where dockerd puts it by default, with root's rights and without.
//
// Everywhere else whoever made the socket serves it, and connecting starts nothing: in WSL, from a snap, in a virtual machine,
// in a directory of the person's own. A unit that was given another name is not recognized.
func dormant(socket string) bool {
	return runtime.GOOS == "linux" && ofUnit(socket) && activated("/") && !running(filepath.Join(filepath.Dir(socket), "docker.pid"))
}

// ofUnit reports whether a socket is where the unit docker.socket has it: that of the system, or of this user.
func ofUnit(socket string) bool {
	return slices.Contains([]string{"/run/docker.sock", "/var/run/docker.sock", filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "docker.sock")}, socket)
}

// activated reports whether systemd runs (sd_booted(3)) and has the unit docker.socket (systemd.unit(5)), in the file system
// below root.
func activated(root string) bool {
	return exists(root, "run/systemd/system") && slices.ContainsFunc([]string{"etc", "run", "usr/local/lib", "usr/lib", "lib"},
		func(dir string) bool { return exists(root, dir, "systemd/system/docker.socket") })
}

func exists(elements ...string) bool {
	_, err := os.Stat(filepath.Join(elements...))
	return err == nil
}

// running reports whether the PID file names a process that is dockerd. A file that outlived its engine may name another one.
func running(pidFile string) bool {
	data, err := readFile(pidFile)
	if err != nil {
		return false
	}
	pid, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 31)
	if err != nil {
		return false
	}
	if name, err := os.ReadFile("/proc/" + strconv.FormatUint(pid, 10) + "/comm"); err == nil {
		return string(name) == "dockerd\n"
	}
	// Where /proc is mounted with hidepid, another user's process has no directory there, but it still is one not to signal.
	p, err := os.FindProcess(int(pid))
	if err != nil {
		return false
	}
	defer p.Release()
	return errors.Is(p.Signal(syscall.Signal(0)), fs.ErrPermission)
}
