package facts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porttray/watcher/owner"
)

func TestUnitOf(t *testing.T) {
	const user = "/user.slice/user-1000.slice/user@1000.service"
	tests := []struct {
		name, cgroup string
		want         Manager
	}{
		{"system service", "/system.slice/nginx.service", Manager{Name: "nginx.service", System: true}},
		{"instance", "/system.slice/system-postgresql.slice/postgresql@15-main.service",
			Manager{Name: "postgresql@15-main.service", System: true}},
		{"its own group", "/system.slice/web.service/workers/3", Manager{Name: "web.service", System: true}},
		{"Podman in a service", "/system.slice/web.service/libpod-payload-7b4c1f",
			Manager{Name: "web.service", System: true}},
		{"escaped", `/system.slice/dev\x2dserver\x40home.service`,
			Manager{Name: "dev-server@home.service", System: true}},
		{"no escape", `/system.slice/a\x2xb\y2d.service`, Manager{Name: `a\x2xb\y2d.service`, System: true}},
		{"kept from the kernel", "/system.slice/_memory.service", Manager{Name: "memory.service", System: true}},
		{"colons", "/system.slice/a:b::c.service", Manager{Name: "a:b::c.service", System: true}},
		{"without a slice", "/nginx.service", Manager{Name: "nginx.service", System: true}},
		{"user service", user + "/app.slice/vite.service", Manager{Name: "vite.service"}},
		{"user service without a slice", user + "/vite.service", Manager{Name: "vite.service"}},
		{"user service in a slice of its own", user + "/app.slice/app-dev.slice/vite@8080.service",
			Manager{Name: "vite@8080.service"}},
		{"user service with a name as for programs", user + "/app.slice/app-server.service",
			Manager{Name: "app-server.service"}},
		{"snap", "/system.slice/snap.nextcloud.apache.service",
			Manager{Name: "snap.nextcloud.apache.service", System: true}},

		{"root", "/", Manager{}},
		{"nothing", "", Manager{}},
		{"slice", "/system.slice", Manager{}},
		{"session", "/user.slice/user-1000.slice/session-2.scope", Manager{}},
		{"init", "/init.scope", Manager{}},
		{"user manager", user + "/init.scope", Manager{}},
		{"user manager itself", user, Manager{}},
		{"group of the user manager", user + "/x", Manager{}},
		{"desktop program in a scope", user + `/app.slice/app-gnome-org.gnome.Terminal-4711.scope`, Manager{}},
		{"terminal's tab", user + "/app.slice/app-org.gnome.Terminal.slice/vte-spawn-2b0b8f3c.scope", Manager{}},
		{"desktop program in a service", user + `/app.slice/app-org.kde.konsole@5f0c6a.service`, Manager{}},
		{"started at login", user + `/app.slice/app-syncthing\x2dstart@autostart.service`, Manager{}},
		{"program from the bus", user + "/app.slice/dbus-:1.2-org.gnome.Nautilus@0.service", Manager{}},
		{"terminal", user + "/app.slice/gnome-terminal-server.service", Manager{}},
		{"desktop", user + "/session.slice/org.gnome.Shell@wayland.service", Manager{}},
		{"systemd-run", "/system.slice/run-u42.service", Manager{}},
		{"systemd-run of this user", user + "/app.slice/run-r0123456789abcdef0123456789abcdef.service", Manager{}},
		{"systemd-run since 257", user + "/app.slice/run-p4711-i4712.service", Manager{}},
		{"called like that", "/system.slice/run-redis.service", Manager{Name: "run-redis.service", System: true}},
		{"cron", "/system.slice/cron.service", Manager{}},
		{"login", "/system.slice/ssh.service", Manager{}},
		{"login by an instance", "/system.slice/system-sshd.slice/sshd@7-10.0.0.1:22-10.0.0.2:4711.service", Manager{}},
		{"terminal on the screen", "/system.slice/system-getty.slice/getty@tty1.service", Manager{}},

		{"Docker under systemd", "/system.slice/docker-7b4c1f.scope", Manager{}},
		{"Docker without", "/docker/7b4c1f", Manager{}},
		{"Docker within its service", "/system.slice/docker.service/docker/7b4c1f", Manager{}},
		{"Kubernetes", "/kubepods.slice/kubepods-burstable.slice/cri-containerd-7b4c1f.scope", Manager{}},
		{"systemd in a container", "/system.slice/docker-7b4c1f.scope/system.slice/nginx.service", Manager{}},
		{"systemd in LXC", "/lxc.payload.web/system.slice/nginx.service", Manager{}},
		{"systemd in nspawn", "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service",
			Manager{}},
		{"scope in a service", "/system.slice/web.service/init.scope", Manager{}},
		{"user manager of a container's systemd", "/lxc/web" + user + "/app.slice/vite.service", Manager{}},
		{"two user managers", user + user + "/vite.service", Manager{}},
		{"seen from inside a container", "/../../system.slice/nginx.service", Manager{}},
		{"removed", "/system.slice/nginx.service (deleted)", Manager{}},
	}
	for _, tt := range tests {
		files := map[string]string{
			"version 2": "0::" + tt.cgroup + "\n",
			"version 1": "12:cpu,cpuacct:/x\n1:name=systemd:" + tt.cgroup + "\n",
			"hybrid":    "12:pids:/system.slice/x.service\n1:name=systemd:" + tt.cgroup + "\n0::" + tt.cgroup + "\n",
		}
		for version, text := range files {
			t.Run(tt.name+"/"+version, func(t *testing.T) {
				if got := unitOf([]byte(text)); got != tt.want {
					t.Errorf("%q: got %+v, want %+v", text, got, tt.want)
				}
			})
		}
	}
}

func TestUnitOfFiles(t *testing.T) {
	tests := []struct {
		name, file string
		want       Manager
	}{
		{"empty", "", Manager{}},
		{"only other hierarchies", "5:memory:/system.slice/nginx.service\n", Manager{}},
		{"the unified one left empty", "1:name=systemd:/system.slice/nginx.service\n0::/\n",
			Manager{Name: "nginx.service", System: true}},
		{"systemd's own counts", "1:name=systemd:/\n0::/system.slice/nginx.service\n", Manager{}},
		{"no newline", "0::/system.slice/nginx.service", Manager{Name: "nginx.service", System: true}},
		{"garbage", "0:/system.slice/nginx.service\n::\n\n:", Manager{}},
	}
	for _, tt := range tests {
		if got := unitOf([]byte(tt.file)); got != tt.want {
			t.Errorf("%s: %q: got %+v, want %+v", tt.name, tt.file, got, tt.want)
		}
	}
}

func FuzzUnitOf(f *testing.F) {
	f.Add([]byte("0::/system.slice/nginx.service\n"))
	f.Add([]byte("1:name=systemd:/user.slice/user-1000.slice/user@1000.service/app.slice/a\\x2d\\xff@1.service/x\n0::/\n"))
	f.Add([]byte("0::/_.service/.scope\n0:::\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := unitOf(text)
		if m.Name == "" && m != (Manager{}) || m.Name != "" && !strings.HasSuffix(m.Name, ".service") {
			t.Errorf("%q: got %+v", text, m)
		}
	})
}

func jobList(t testing.TB) []byte {
	t.Helper()
	jobs, err := os.ReadFile(filepath.Join("testdata", "managers", "launchctl_list.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func TestJobLabel(t *testing.T) {
	jobs := jobList(t)
	tests := []struct {
		pid  int32
		want string
	}{
		{501, "com.apple.Finder"},
		{643, "homebrew.mxcl.postgresql@17"},
		{810, "com.example.dev server"},
		{702, ""}, {703, ""}, {901, ""}, {902, ""}, {903, ""}, // started by a person
		{50, ""}, {5010, ""}, {0, ""}, {-9, ""}, // no job's
	}
	for _, tt := range tests {
		if got := jobLabel(jobs, tt.pid); got != tt.want {
			t.Errorf("process %d: got %q, want %q", tt.pid, got, tt.want)
		}
	}
	for _, jobs := range []string{"", "501", "501\t0", "501 0 com.apple.Finder", "501\t0\t \n"} {
		if got := jobLabel([]byte(jobs), 501); got != "" {
			t.Errorf("%q: got %q, want none", jobs, got)
		}
	}
}

func FuzzJobLabel(f *testing.F) {
	f.Add(jobList(f), int32(643))
	f.Add([]byte("1\t\t\x00\r\n1\t0\ta"), int32(1))
	f.Add([]byte("-\t0\ta"), int32(-1))
	f.Fuzz(func(t *testing.T, jobs []byte, pid int32) {
		if label := jobLabel(jobs, pid); len(label) > 128 || strings.Contains(label, "\n") ||
			!strings.Contains(string(jobs), label) {
			t.Errorf("%q, process %d: got %q", jobs, pid, label)
		}
	})
}

func TestServiceOf(t *testing.T) {
	services := []service{
		{"postgresql-x64-17", 4000, false}, {"Dnscache", 1200, false}, {"nsi", 1200, false},
		{"CDPUserSvc_5b2f1", 7000, true}, {"paused", 0, false},
	}
	tests := []struct {
		pid  int32
		want Manager
	}{
		{4000, Manager{Name: "postgresql-x64-17", System: true}},
		{7000, Manager{Name: "CDPUserSvc_5b2f1"}},
		{1200, Manager{}},
		{1, Manager{}},
		{0, Manager{}},
		{-1, Manager{}},
	}
	for _, tt := range tests {
		if got := serviceOf(services, tt.pid); got != tt.want {
			t.Errorf("process %d: got %+v, want %+v", tt.pid, got, tt.want)
		}
	}
}

// TestManager asks the real system. The cgroup shows the service of this test, if any.
func TestManager(t *testing.T) {
	self, err := owner.Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	var want Manager
	if cgroups, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		want = unitOf(cgroups)
	}
	if got := manager(t.Context(), self); got != want {
		t.Errorf("this process: got %+v, want %+v", got, want)
	}
	for _, p := range []owner.Process{{}, {PID: -1}, {PID: 1<<31 - 1, Start: 1},
		{PID: self.PID, Start: self.Start + 1}} {
		if got := manager(t.Context(), p); got != (Manager{}) {
			t.Errorf("%+v: got %+v, want none", p, got)
		}
	}
}

func BenchmarkManager(b *testing.B) {
	self, err := owner.Identify(int32(os.Getpid()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		manager(b.Context(), self)
	}
}
