package engine

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the recorded answers of TestDocker in testdata")

// TestDocker starts its own Docker engine and asks it. It runs only if the environment variable PORTTRAY_DOCKER is 1.
// It needs root, dockerd with containerd and runc, unshare, ip and iptables. The engine has its own namespaces for the
// network, mounts and processes. So nothing stays on this computer after its first process is killed.
func TestDocker(t *testing.T) {
	if os.Getenv("PORTTRAY_DOCKER") != "1" {
		t.Skip("PORTTRAY_DOCKER is not 1")
	}
	image := serverImage(t)
	for _, tt := range []struct {
		name, flag string
		listed     []string // the listed addresses of port 8080
		listens    string   // the program that listens
	}{
		{"proxy", "--userland-proxy=true", []string{"0.0.0.0", "::"}, "docker-proxy"},
		{"noproxy", "--userland-proxy=false", []string{"0.0.0.0"}, "dockerd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := startDocker(t, tt.flag)
			d.call("POST", "/images/create?fromSrc=-&repo=probe&changes="+`CMD%20["/server"]`, image)
			e := Engines{Sockets: []string{d.socket}}
			if l := e.List(t.Context(), true); l.Err() != nil || len(l.Published) > 0 {
				t.Fatalf("an engine without containers: %+v", l)
			}
			ctx, cancel := context.WithCancel(t.Context())
			changed, ended := make(chan struct{}, 1), make(chan struct{})
			go func() { defer close(ended); e.Watch(ctx, changed) }()
			defer func() { cancel(); <-ended }()
			<-changed // the stream of events has begun

			d.run("shop-web-1", "web",
				`"8080/tcp":[{"HostPort":"8080"},{"HostIp":"127.0.0.1","HostPort":"8081"}],"9/udp":[{"HostPort":"9999"}]`)
			d.run("shop-db-1", "db", `"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":"5432"}]`)
			l := awaitPorts(t, &e, changed, 3+len(tt.listed)-1)
			d.record("docker-20.10-" + tt.name + ".json")
			want := []string{"127.0.0.1 5432 shop-db-1 probe shop/db"}
			for _, addr := range tt.listed {
				want = append(want, addr+" 8080 shop-web-1 probe shop/web")
			}
			want = append(want, "127.0.0.1 8081 shop-web-1 probe shop/web")
			if text(l.Published) != strings.Join(want, "; ") {
				t.Errorf("got %q, want %q", text(l.Published), want)
			}
			for _, listener := range []string{"127.0.0.1:5432", "127.0.0.1:8081", "0.0.0.0:8080"} {
				if got := d.listener(listener); !strings.Contains(got, `"`+tt.listens+`"`) {
					t.Errorf("%s: %q, want %s to listen", listener, got, tt.listens)
				}
			}
			if got := d.listener("[::]:8080"); (got != "") != slices.Contains(tt.listed, "::") {
				t.Errorf("[::]:8080: %q", got)
			}

			db, web := l.Published[0], l.Published[1]
			if err := Stop(t.Context(), db.Container, db.Port); err != nil {
				t.Error(err)
			}
			l = awaitPorts(t, &e, changed, len(tt.listed)+1)
			if slices.Contains(l.Published, db) {
				t.Errorf("%+v was stopped and is there", db)
			}
			if err := Stop(t.Context(), db.Container, db.Port); !errors.Is(err, ErrGone) {
				t.Errorf("stopped again: %v", err)
			}
			d.call("POST", "/containers/shop-web-1/kill", nil) // as if it crashed
			awaitPorts(t, &e, changed, 0)
			if err := Stop(t.Context(), web.Container, web.Port); !errors.Is(err, ErrGone) {
				t.Errorf("stopped after its end: %v", err)
			}
			d.end()
			if l := e.List(t.Context(), true); !errors.Is(l.Err(), ErrNotRunning) {
				t.Errorf("without the engine: %+v", l)
			}
		})
	}
}

// TestDockerEnds ends containers in all ways and asks for each end. It also stops a container in the host's network.
func TestDockerEnds(t *testing.T) {
	if os.Getenv("PORTTRAY_DOCKER") != "1" {
		t.Skip("PORTTRAY_DOCKER is not 1")
	}
	d := startDocker(t)
	d.call("POST", "/images/create?fromSrc=-&repo=probe&changes="+`ENTRYPOINT%20["/server"]`, serverImage(t))
	e := Engines{Sockets: []string{d.socket}}
	for _, tt := range []struct {
		name, body string
		act        func(path string) // called after a moment
		want       string
		crashed    bool
	}{
		{name: "exits", body: `"Cmd":["3"],"HostConfig":{}`, want: "exited with status 3", crashed: true},
		{name: "succeeds", body: `"Cmd":["0"],"HostConfig":{}`, want: "stopped"},
		{name: "removes-itself", body: `"Cmd":["1"],"HostConfig":{"AutoRemove":true}`, want: "exited with status 1",
			crashed: true},
		{name: "hogs", body: `"Cmd":["hog"],"HostConfig":{"Memory":33554432}`, want: "killed by SIGKILL: out of memory",
			crashed: true},
		{name: "stopped", body: `"HostConfig":{}`, act: func(path string) { d.call("POST", path+"/stop", nil) },
			want: "stopped"},
		{name: "killed", body: `"HostConfig":{}`, act: func(path string) { d.call("POST", path+"/kill", nil) },
			want: "stopped"},
		{name: "removed", body: `"HostConfig":{}`, act: func(path string) { d.call("DELETE", path+"?force=1", nil) },
			want: "stopped"},
		{name: "restarted", body: `"HostConfig":{}`, act: func(path string) { d.call("POST", path+"/restart", nil) },
			want: "stopped"},
		{name: "goes-on", body: `"HostConfig":{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var made struct{ ID string }
			created := d.call("POST", "/containers/create?name="+tt.name, []byte(`{"Image":"probe",`+tt.body+`}`))
			if err := json.Unmarshal(created, &made); err != nil {
				t.Fatal(err)
			}
			seen := time.Now()
			d.call("POST", "/containers/"+made.ID+"/start", nil)
			if tt.act != nil {
				tt.act("/containers/" + made.ID)
			}
			c := Container{ID: made.ID, Endpoint: d.socket}
			end, ok := e.Ended(t.Context(), c, seen)
			if ok != (tt.want != "") || ok && (end.String() != tt.want || end.Crashed() != tt.crashed) {
				t.Errorf("got %+v %v, %q, crashed %v; want %q, %v", end, ok, end, end.Crashed(), tt.want, tt.crashed)
			}
		})
	}
	d.call("POST", "/containers/create?name=host", []byte(`{"Image":"probe","HostConfig":{"NetworkMode":"host"}}`))
	d.call("POST", "/containers/host/start", nil)
	others := e.List(t.Context(), true).Others
	i := slices.IndexFunc(others, func(c Container) bool { return c.Name == "host" })
	if i < 0 {
		t.Fatalf("it is not among %+v", others)
	}
	if err := Stop(t.Context(), others[i], 8080); !errors.Is(err, ErrGone) {
		t.Errorf("it publishes no port: %v", err)
	}
	if err := Stop(t.Context(), others[i], 0); err != nil {
		t.Error(err)
	}
	if err := Stop(t.Context(), others[i], 0); !errors.Is(err, ErrGone) {
		t.Errorf("stopped again: %v", err)
	}
}

// awaitPorts lists at each signal of Watch, until n ports are published. The deadline of the test bounds it.
func awaitPorts(t *testing.T, e *Engines, changed <-chan struct{}, n int) List {
	t.Helper()
	for {
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatal("no change notice")
		case <-time.After(30 * time.Second):
			t.Fatalf("no change notice led to %d ports: %+v", n, e.List(t.Context(), true))
		}
		l := e.List(t.Context(), true)
		if l.Err() != nil {
			t.Fatal(l.Err())
		}
		t.Logf("%s: %s", time.Now().Format("05.000"), text(l.Published))
		if len(l.Published) == n {
			return l
		}
	}
}

// serverImage returns a tar archive of an image. The image holds only a server.
func serverImage(t *testing.T) []byte {
	t.Helper()
	server := filepath.Join(t.TempDir(), "server")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", server, "./testdata/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(server)
	if err != nil {
		t.Fatal(err)
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	err = errors.Join(w.WriteHeader(&tar.Header{Name: "server", Mode: 0o755, Size: int64(len(data))}),
		func() error { _, err := w.Write(data); return err }(), w.Close())
	if err != nil {
		t.Fatal(err)
	}
	return image.Bytes()
}

// A docker is a running engine.
type docker struct {
	t      *testing.T
	socket string
	end    func() // ends the engine and all its processes
	pid    int    // a process in the engine's namespaces
}

// startDocker starts an engine in new namespaces and waits until it answers.
func startDocker(t *testing.T, flags ...string) *docker {
	t.Helper()
	dir := shortDir(t)
	d := &docker{t: t, socket: filepath.Join(dir, "d.sock")}
	group := filepath.Base(dir)
	script := `ip link set lo up && mount -t tmpfs none /run && exec "$@"`
	args := []string{"--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh",
		"dockerd", "--host=unix://" + d.socket, "--data-root=" + dir + "/data", "--exec-root=" + dir + "/exec",
		"--pidfile=" + dir + "/docker.pid", "--storage-driver=vfs", "--cgroup-parent=/" + group}
	cmd := exec.Command("unshare", append(args, flags...)...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	// The kernel ends all processes of a PID namespace with its first one. unshare ends after that.
	d.end = func() {
		syscall.Kill(cmp.Or(d.pid, cmd.Process.Pid), syscall.SIGKILL)
		<-ended
	}
	t.Cleanup(func() {
		d.end()
		if t.Failed() {
			data, _ := os.ReadFile(log.Name())
			t.Logf("dockerd:\n%s", data)
		}
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + group)
		for _, g := range append(groups, "/sys/fs/cgroup/"+group) {
			syscall.Rmdir(g) // it may not exist
		}
	})
	for {
		if l := (&Engines{Sockets: []string{d.socket}}).List(t.Context(), true); l.Err() == nil {
			break
		}
		select {
		case <-ended:
			t.Fatal("dockerd ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(children), &d.pid); err != nil {
		t.Fatal(err)
	}
	return d
}

// call makes a request and returns the answer. The request must succeed.
func (d *docker) call(method, path string, body []byte) []byte {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if strings.HasPrefix(path, "/images") {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	var e Engines
	resp, err := e.transport(d.socket).RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		d.t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, answer, err)
	}
	return answer
}

// run starts a container like Compose, for a service of the project shop.
func (d *docker) run(name, service, bindings string) {
	d.t.Helper()
	d.call("POST", "/containers/create?name="+name, fmt.Appendf(nil, `{"Image":"probe",
		"Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":%q},
		"ExposedPorts":{"8080/tcp":{},"9/udp":{},"7/tcp":{}},"HostConfig":{"PortBindings":{%s}}}`, service, bindings))
	d.call("POST", "/containers/"+name+"/start", nil)
}

// listener returns the program that listens on a TCP address in the engine's network, as ss prints it.
func (d *docker) listener(addr string) string {
	d.t.Helper()
	out, err := exec.Command("nsenter", "--net", "--pid", "--mount", fmt.Sprint("--target=", d.pid), "ss", "-Hltnp",
		"src", addr).Output()
	if err != nil {
		d.t.Fatal(err)
	}
	return string(out)
}

// record writes the engine's answer to testdata, if recording is on.
func (d *docker) record(name string) {
	d.t.Helper()
	if !*update {
		return
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, d.call("GET", "/containers/json", nil), "", " "); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", name), indented.Bytes(), 0o644); err != nil {
		d.t.Fatal(err)
	}
}
