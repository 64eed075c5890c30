package owner

import (
	"regexp"
	"slices"
	"strings"
)

// containerID matches an engine's name for a container in a cgroup path: /docker/ID, docker-ID.scope, libpod-ID.scope,
// libpod-payload-ID, cri-containerd-ID.scope, /kubepods/.../ID.
var containerID = regexp.MustCompile(`^(?:.*-)?([0-9a-f]{64})(?:\.scope)?$`)

// containerIn returns the container ID in the text of /proc/PID/cgroup (cgroups(7)), or nothing. The ID may be on any
// line, because engines use either version of cgroups. For nested containers it returns the innermost. A container's
// monitor (libpod-conmon-ID.scope) runs outside the container.
func containerIn(cgroups []byte) string {
	for line := range strings.Lines(string(cgroups)) {
		elements := strings.Split(strings.TrimSuffix(line, "\n"), "/")
		for _, element := range slices.Backward(elements) {
			if m := containerID.FindStringSubmatch(element); m != nil && !strings.Contains(element, "conmon-") {
				return m[1]
			}
		}
	}
	return ""
}

// IsolationOf returns the ID of the process's container. It also reports whether the process is isolated: its paths
// mean other directories than the same paths here.
func IsolationOf(pid int32) (container string, isolated bool, err error) {
	container, err = containerOf(pid)
	return container, container != "" || ownRoot(pid), err
}

// ContainerOf returns the ID of p's container, in 64 hexadecimal digits. The ID is empty if p runs in no container or
// in this program's own, or if p has ended. An error means that the ID cannot be known. On systems other than Linux the
// ID is always empty.
func ContainerOf(p Process) (string, error) {
	id, err := containerOf(p.PID)
	if id != "" && p.Gone() { // the PID may have been another process's
		return "", nil
	}
	return id, err
}
