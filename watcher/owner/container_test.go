package owner

import (
	"strings"
	"testing"
)

func TestContainerIn(t *testing.T) {
	id, other := strings.Repeat("0123456789abcdef", 4), strings.Repeat("f", 64)
	for _, tt := range []struct{ name, cgroups, want string }{
		{"none", "0::/user.slice/user-1000.slice/session-1.scope\n", ""},
		{"empty", "", ""},
		{"Docker with systemd", "0::/system.slice/docker-" + id + ".scope\n", id},
		{"Docker with cgroupfs", "0::/docker/" + id + "\n", id},
		{"version 1", "12:pids:/docker/" + id + "\n11:memory:/docker/" + id + "\n1:name=systemd:/docker/" + id +
			"\n0::/system.slice/containerd.service\n", id},
		{"a parent of its own", "9:name=systemd:/lab/" + id + "\n", id},
		{"rootless Docker", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + id + ".scope\n",
			id},
		{"Podman", "0::/machine.slice/libpod-" + id + ".scope/container\n", id},
		{"Podman with cgroupfs, in a pod", "9:name=systemd:/libpod_parent/" + other + "/libpod-" + id + "\n", id},
		{"Podman's Quadlet", "0::/system.slice/web.service/libpod-payload-" + id + "\n", id},
		{"Podman's monitor", "0::/machine.slice/libpod-conmon-" + id + ".scope\n", ""},
		{"Kubernetes with containerd",
			"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1234.slice/cri-containerd-" + id +
				".scope\n", id},
		{"Kubernetes with cgroupfs", "4:memory:/kubepods/burstable/pod2d3f/" + id + "\n", id},
		{"seen from a container beside it", "0::/../" + id + "\n", id},
		{"a container in a container", "0::/docker/" + other + "/docker/" + id + "\n", id},
		{"a service in a container", "0::/system.slice/docker-" + id + ".scope/system.slice/nginx.service\n", id},
		{"too short", "0::/docker/" + id[1:] + "\n", ""},
		{"too long", "0::/docker/a" + id + "\n", ""},
		{"part of a name", "0::/system.slice/x" + id + ".scope\n", ""},
	} {
		if got := containerIn([]byte(tt.cgroups)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
