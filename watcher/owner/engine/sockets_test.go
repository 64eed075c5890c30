package engine

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// alone sets this user's home directory, without settings for engines.
func alone(t *testing.T, home string) {
	t.Helper()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // Windows
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST",
		"XDG_RUNTIME_DIR"} {
		t.Setenv(name, "")
	}
}

func TestLocalSocket(t *testing.T) {
	tests := []struct{ goos, host, want string }{
		{"linux", "unix:///run/docker.sock", "/run/docker.sock"},
		{"darwin", "unix:///Users/ann/.colima/x y/docker.sock", "/Users/ann/.colima/x y/docker.sock"},
		{"linux", "unix:///run/../run//docker.sock", "/run/docker.sock"},
		{"linux", "unix://docker.sock", ""},
		{"linux", "unix://@docker", ""},
		{"linux", "unix://", ""},
		{"linux", "unix:/run/docker.sock", ""},
		{"linux", "/run/docker.sock", ""},
		{"linux", "", ""},
		{"linux", "tcp://127.0.0.1:2375", ""},
		{"linux", "tcp://10.0.0.1:2376", ""},
		{"linux", "http://127.0.0.1:2375", ""},
		{"linux", "ssh://ann@example.org", ""},
		{"linux", "ssh://core@127.0.0.1:40000/run/user/1000/podman/podman.sock", ""},
		{"linux", "fd://", ""},
		{"linux", "npipe:////./pipe/docker_engine", ""},
		{"windows", "npipe:////./pipe/docker_engine", `\\.\pipe\docker_engine`},
		{"windows", `npipe://\\.\pipe\docker_engine`, `\\.\pipe\docker_engine`},
		{"windows", "npipe:////./pipe/", ""},
		{"windows", "npipe:////server/pipe/docker_engine", ""},
		{"windows", "npipe://", ""},
		{"windows", "unix:///run/docker.sock", ""},
		{"windows", "tcp://127.0.0.1:2375", ""},
	}
	for _, tt := range tests {
		if got := localSocket(tt.goos, tt.host); got != tt.want {
			t.Errorf("localSocket(%q, %q) = %q, want %q", tt.goos, tt.host, got, tt.want)
		}
	}
}

func TestUsual(t *testing.T) {
	tests := []struct{ goos, home, runtimeDir, want string }{
		{
			"linux", "/home/ann", "/run/user/1000",
			"/run/user/1000/docker.sock /var/run/docker.sock /home/ann/.docker/run/docker.sock /home/ann/.docker/desktop/docker.sock " +
				"/home/ann/.colima/default/docker.sock /home/ann/.orbstack/run/docker.sock /home/ann/.rd/docker.sock " +
				"/run/user/1000/podman/podman.sock /run/podman/podman.sock",
		},
		{"linux", "", "", "/var/run/docker.sock /run/podman/podman.sock"},
		{"linux", ".", "run", "/var/run/docker.sock /run/podman/podman.sock"},
		{"windows", `C:\Users\ann`, "", `\\.\pipe\docker_engine \\.\pipe\podman-machine-default`},
	}
	for _, tt := range tests {
		if got := strings.Join(usual(tt.goos, tt.home, tt.runtimeDir), " "); got != tt.want {
			t.Errorf("usual(%q, %q, %q) =\n%s\nwant\n%s", tt.goos, tt.home, tt.runtimeDir, got, tt.want)
		}
	}
}

func TestContextHost(t *testing.T) {
	const colima = "unix:///home/ann/.colima/default/docker.sock"
	meta := func(host string) string {
		return `{"Name":"colima","Metadata":{},"Endpoints":{"docker":{"Host":"` + host + `","SkipTLSVerify":false}}}`
	}
	tests := []struct{ name, env, config, meta, want string }{
		{"current", "", `{"auths":{},"currentContext":"colima"}`, meta(colima), colima},
		{"from the environment", "colima", `{"currentContext":"other"}`, meta(colima), colima},
		{"without a configuration", "colima", "", meta(colima), colima},
		{"remote", "", `{"currentContext":"colima"}`, meta("ssh://ann@example.org"), "ssh://ann@example.org"},
		{"the default one", "", `{"currentContext":"default"}`, meta(colima), ""},
		{"the default one from the environment", "default", `{"currentContext":"colima"}`, meta(colima), ""},
		{"none", "", `{"auths":{}}`, meta(colima), ""},
		{"not there", "", `{"currentContext":"other"}`, meta(colima), ""},
		{"a path", "", `{"currentContext":"../../colima"}`, meta(colima), ""},
		{"broken configuration", "", `{"currentContext":`, meta(colima), ""},
		{"broken context", "", `{"currentContext":"colima"}`, "{", ""},
		{"context without Docker", "", `{"currentContext":"colima"}`, `{"Endpoints":{}}`, ""},
		{"another type", "", `{"currentContext":"colima"}`, `{"Endpoints":{"docker":{"Host":7}}}`, ""},
		{"nothing at all", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := t.TempDir()
			t.Setenv("DOCKER_CONTEXT", tt.env)
			write(t, filepath.Join(config, "config.json"), tt.config)
			// printf colima | sha256sum
			write(t, filepath.Join(config,
				"contexts/meta/f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16/meta.json"), tt.meta)
			if got := contextHost(config); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// write makes a file and its directories, unless the text is empty.
func write(t *testing.T, name, text string) {
	t.Helper()
	if text == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestCandidates checks that this user's choices come first.
func TestCandidates(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("sockets are pipes here")
	}
	home := t.TempDir()
	alone(t, home)
	write(t, filepath.Join(home, ".docker/config.json"), `{"currentContext":"colima"}`)
	write(t, filepath.Join(home,
		".docker/contexts/meta/f24fd3749c1368328e2b149bec149cb6795619f244c5b584e844961215dadd16/meta.json"),
		`{"Endpoints":{"docker":{"Host":"unix:///b.sock"}}}`)
	t.Setenv("DOCKER_HOST", "unix:///a.sock")
	t.Setenv("CONTAINER_HOST", "unix:///c.sock")
	if got, want := candidates()[:4],
		[]string{"/a.sock", "/b.sock", "/c.sock", "/var/run/docker.sock"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	if got, want := candidates()[:2], []string{"/c.sock", "/run/user/1000/docker.sock"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Setenv("DOCKER_CONFIG", "relative")
	t.Setenv("DOCKER_CONTEXT", "colima")
	if got := candidates()[0]; got != "/c.sock" {
		t.Errorf("got %q first", got)
	}
}

func TestMaker(t *testing.T) {
	for socket, want := range map[string]string{
		"/run/docker.sock":                            "Docker",
		`\\.\pipe\docker_engine`:                      "Docker",
		"/Users/ann/.colima/default/docker.sock":      "Docker",
		"/run/podman/podman.sock":                     "Podman",
		"/tmp/podman/podman-machine-default-api.sock": "Podman",
		"/run/user/1000/podman/docker.sock":           "Podman",
		"/srv/engine.sock":                            "the container engine",
	} {
		if got := engineName(socket); got != want {
			t.Errorf("engineName(%q) = %q, want %q", socket, got, want)
		}
	}
}
