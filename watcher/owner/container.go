package owner

import (
	"regexp"
	"slices"
	"strings"
)

// containerID is how engines name a container in the path of its cgroup: /docker/ID, docker-ID.scope, libpod-ID.scope,
// libpod-payload-ID, cri-containerd-ID.scope, /kubepods/.../ID.
var containerID = regexp.MustCompile(`^(?:.*-)?([0-9a-f]{64})(?:\.scope)?$`)

// containerIn returns the ID of the container that /proc/PID/cgroup (cgroups(7)) puts a process in, or nothing. It may be on any
// line: of both versions of cgroups, an engine uses those that it has. Of containers within each other it is the innermost. What
// watches over a container (libpod-conmon-ID.scope) runs outside of it.
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

// apartOf returns the ID of the container that a process runs in, and whether its directories have other names than those that this
// program knows.
func isolationOf(pid int32) (container string, isolated bool, err error) {
	container, err = containerOf(pid)
	return container, container != "" || ownRoot(pid), err
}

// ContainerOf returns the ID of the container that a process runs in, in 64 hexadecimal digits. It is empty if that is this program's
// own container, if there is none, or if p has ended. The error tells that it cannot be known. Only Linux tells it.
func ContainerOf(p Process) (string, error) {
	id, err := containerOf(p.PID)
	if id != "" && p.Gone() { // then the PID may have been another's
		return "", nil
	}
	return id, err
}
