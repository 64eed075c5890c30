package facts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"porttray/watcher/owner"
)

// TestTellContainer has a process in a cgroup with a container's name. Its working directory counts only if this system
// sees the same directory at that path.
func TestTellContainer(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may make cgroups and mounts")
	}
	id := strings.Repeat("0123456789abcdef", 4)
	group := cgroup(t, "docker-"+id+".scope")
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"name":"shop"}`), 0o644); err != nil {
		t.Fatal(err)
	}
	const waits = `echo $$; read -r line; exit`
	// apart gives a process its own file system, like a container. It keeps the system's programs.
	const apart = `mount -t tmpfs none /mnt && mkdir -p /mnt/usr /mnt/proc "/mnt$0" && mount --rbind /usr /mnt/usr && mount --rbind /proc /mnt/proc &&
		for d in bin lib lib64; do ln -s usr/$d /mnt/$d; done; exec chroot /mnt sh -c 'cd "$0" && echo $$; read -r line; exit' "$0"`
	for _, tt := range []struct {
		name               string
		command            []string
		container, project string
		dir                bool
	}{
		{"files of its own", []string{"unshare", "--mount", "sh", "-c",
			`mount -t tmpfs none "$0" && cd "$0" && ` + waits, dir}, id, "", false},
		{"a directory of this system", []string{"unshare", "--mount", "sh", "-c", `cd "$0"; ` + waits, dir}, id, "shop",
			false},
		{"the same files", []string{"sh", "-c", `cd "$0"; ` + waits, dir}, "", "shop", true},
		{"a root of its own", []string{"unshare", "--mount", "sh", "-c", apart, dir}, id, "", false},
		{"a root of its own, and no cgroup", []string{"unshare", "--mount", "sh", "-c", apart, dir}, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			join := []string{"-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, group}
			if strings.HasSuffix(tt.name, "no cgroup") {
				join = []string{"-c", `exec "$@"`, group}
			}
			p := startTeller(t, exec.Command("sh", append(join, tt.command...)...))
			p, err := owner.Read(t.Context(), p.PID)
			if err != nil {
				t.Fatal(err)
			}
			f, sure := Tell(t.Context(), p)
			if !sure || f.Container != tt.container || f.Project.Name != tt.project || (p.Dir != "") != tt.dir ||
				(f.Command != "") != tt.dir {
				t.Errorf("got container %q, project %q, directory %q, command %q (%v); want container %q, project %q",
					f.Container, f.Project.Name, p.Dir, f.Command, sure, tt.container, tt.project)
			}
			if again, err := owner.ContainerOf(p); again != tt.container || err != nil {
				t.Errorf("asked again: %q, %v", again, err)
			}
			p.Start++
			if again, err := owner.ContainerOf(p); again != "" || err != nil {
				t.Errorf("another process: %q, %v", again, err)
			}
		})
	}
}

// cgroup makes a cgroup with that name in some hierarchy, and removes it when the test ends.
func cgroup(t *testing.T, name string) string {
	t.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/systemd"} {
		dir := filepath.Join(root, "porttray-"+strconv.Itoa(os.Getpid()))
		if _, err := os.Stat(filepath.Join(root, "cgroup.procs")); err != nil || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if group := filepath.Join(dir, name); os.Mkdir(group, 0o755) == nil {
			t.Cleanup(func() {
				for range 100 { // until its processes are gone
					if os.Remove(group) == nil {
						break
					}
					time.Sleep(20 * time.Millisecond)
				}
				os.Remove(dir)
			})
			return group
		}
		os.Remove(dir)
	}
	t.Skip("no cgroup can be made")
	return ""
}
