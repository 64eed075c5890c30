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

// candidates returns where this computer's engines may listen: first what this user told the docker and podman commands to
// use, then the places where engines listen by themselves. Most are usually not there, and several may be the same.
func candidates() []string {
	home, _ := os.UserHomeDir() // without one nothing is looked for in it
	config := cmp.Or(os.Getenv("DOCKER_CONFIG"), filepath.Join(home, ".docker"))
	all := []string{
		localSocket(runtime.GOOS, os.Getenv("DOCKER_HOST")),
		localSocket(runtime.GOOS, contextHost(config)),
		localSocket(runtime.GOOS, os.Getenv("CONTAINER_HOST")),
	}
	all = append(all, usual(runtime.GOOS, home, os.Getenv("XDG_RUNTIME_DIR"))...)
	return slices.DeleteFunc(all, func(socket string) bool { return socket == "" })
}

// usual returns where engines listen unless they are told otherwise.
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

// localSocket returns the socket that a host in the notation of DOCKER_HOST stands for, or nothing when it is not on this
// computer: the listeners here are not those of a remote engine. An engine that is reached over TCP is left out, even on
// loopback: nothing tells whose it is, and what it forwards to.
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

// contextHost returns the host of the current context of the docker command, whose configuration is in the directory config.
// The context named default has none of its own. Docker keeps a context under the SHA-256 of its name.
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

// readJSON fills v from a file. What cannot be read stays empty.
func readJSON(name string, v any) {
	if data, err := readFile(name); err == nil {
		_ = json.Unmarshal(data, v) // a part that fits is as good as the whole
	}
}

// readFile reads at most 1 MB of a file, and only of a plain one: opening a named pipe could wait for ever.
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

// maker names the engine behind a socket the way people know it.
func engineName(socket string) string {
	switch name := strings.ToLower(socket); {
	case strings.Contains(name, "podman"):
		return "Podman"
	case strings.Contains(name, "docker"):
		return "Docker"
	}
	return "the container engine"
}
