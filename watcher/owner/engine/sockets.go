package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// candidates returns the possible sockets of this computer's engines. The settings of the docker and podman commands
// come first, then the usual places. Most do not exist, and several may be the same.
func candidates() []string {
	home, _ := os.UserHomeDir() // without a home, its places are skipped
	config := cmp.Or(os.Getenv("DOCKER_CONFIG"), filepath.Join(home, ".docker"))
	all := []string{
		localSocket(runtime.GOOS, os.Getenv("DOCKER_HOST")),
		localSocket(runtime.GOOS, contextHost(config)),
		localSocket(runtime.GOOS, os.Getenv("CONTAINER_HOST")),
	}
	all = append(all, usual(runtime.GOOS, home, os.Getenv("XDG_RUNTIME_DIR"))...)
	return slices.DeleteFunc(all, func(socket string) bool { return socket == "" })
}

// usual returns the engines' default sockets.
func usual(goos, home, runtimeDir string) []string {
	if goos == "windows" {
		return []string{`\\.\pipe\docker_engine`, `\\.\pipe\podman-machine-default`}
	}
	all := []string{
		path.Join(runtimeDir, "docker.sock"), // rootless
		"/var/run/docker.sock",
		path.Join(home, ".docker/run/docker.sock"),
		path.Join(home, ".docker/desktop/docker.sock"),
		path.Join(home, ".colima/default/docker.sock"),
		path.Join(home, ".orbstack/run/docker.sock"),
		path.Join(home, ".rd/docker.sock"), // Rancher Desktop
		path.Join(runtimeDir, "podman/podman.sock"),
		"/run/podman/podman.sock",
	}
	return slices.DeleteFunc(all, func(socket string) bool { return !path.IsAbs(socket) })
}

// localSocket returns the socket for a host in the notation of DOCKER_HOST. It returns nothing for a remote engine,
// because its listeners are not here. It also skips TCP, even on loopback, because nobody can tell the owner or the
// target of such a port.
func localSocket(goos, host string) string {
	if pipe, ok := strings.CutPrefix(host, "npipe://"); ok && goos == "windows" {
		pipe = strings.ReplaceAll(pipe, "/", `\`)
		if name, ok := strings.CutPrefix(pipe, `\\.\pipe\`); ok && name != "" {
			return pipe
		}
	}
	if socket, ok := strings.CutPrefix(host, "unix://"); ok && goos != "windows" && path.IsAbs(socket) {
		return path.Clean(socket)
	}
	return ""
}

// contextHost returns the host of the docker command's current context. config is its configuration directory. The
// context named default has no host. Docker stores a context under the SHA-256 of its name.
func contextHost(config string) string {
	if !filepath.IsAbs(config) {
		return ""
	}
	var file struct {
		CurrentContext string `json:"currentContext"`
	}
	readJSON(filepath.Join(config, "config.json"), &file)
	name := cmp.Or(os.Getenv("DOCKER_CONTEXT"), file.CurrentContext)
	if name == "" || name == "default" {
		return ""
	}
	var meta struct {
		Endpoints struct {
			Docker struct{ Host string } `json:"docker"`
		}
	}
	sum := sha256.Sum256([]byte(name))
	readJSON(filepath.Join(config, "contexts", "meta", hex.EncodeToString(sum[:]), "meta.json"), &meta)
	return meta.Endpoints.Docker.Host
}

// readJSON fills v from a file. Unreadable parts stay empty.
func readJSON(name string, v any) {
	if data, err := readFile(name); err == nil {
		_ = json.Unmarshal(data, v) // a part will do
	}
}

// readFile reads at most 1 MB of a regular file. Opening a named pipe could block for ever.
func readFile(name string) ([]byte, error) {
	if info, err := os.Stat(name); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %q: not a plain file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<20))
}

// engineName returns the usual name of the engine behind a socket.
func engineName(socket string) string {
	switch name := strings.ToLower(socket); {
	case strings.Contains(name, "podman"):
		return "Podman"
	case strings.Contains(name, "docker"):
		return "Docker"
	}
	return "the container engine"
}
