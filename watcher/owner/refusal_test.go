package owner

import (
	"strings"
	"testing"

	"github.com/shirou/gopsutil/v3/process"
)

func TestForwards(t *testing.T) {
	tests := []struct {
		names string
		want  bool
	}{
		{"docker-proxy dockerd Docker-Proxy docker-proxy.exe com.docker.backend com.docker.backend.exe vpnkit vpnkit-bridge", true},
		{"rootlesskit rootlessport rootlessport-child rootlesskit-doc slirp4netns pasta pasta.avx2 passt passt.avx2",
			true},
		{"gvproxy gvproxy-windows conmon conmonrs podman OrbStack orbstack-helper colima limactl lima-guestagent",
			true},
		{"wslrelay wslrelay.exe wslhost.exe wslservice.exe vmcompute.exe", true},
		{"node python3 sshd ssh nginx docker docker-compose podman-compose mydocker-proxy mylimactl wsl lima colima-ui com.docke", false},
	}
	for _, tt := range tests {
		for name := range strings.FieldsSeq(tt.names) {
			if got := forwards(name); got != tt.want {
				t.Errorf("forwards(%q) = %v", name, got)
			}
		}
	}
	for name, want := range map[string]bool{"": false, ".": false, "Docker Desktop": true,
		"Docker Desktop Helper": true} {
		if got := forwards(name); got != want {
			t.Errorf("forwards(%q) = %v", name, got)
		}
	}
}

// TestRefusesPM2 has the names of PM2's God Daemon: the name that Linux cuts off, and the start of its title.
func TestRefusesPM2(t *testing.T) {
	ps := &process.Process{Pid: 4711}
	for name, want := range map[string]bool{"PM2": true, "PM2 v7: God": true, "PM2 v5.3.0: God": true, "pm2": false,
		"node": false} {
		got := refusalOf(t.Context(), Process{PID: 4711, Name: name}, ps, true, false)
		if refused := strings.Contains(got, "pm2"); refused != want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestLimaArgs(t *testing.T) {
	tests := []struct {
		name, args string // the arguments are separated by |
		want       bool
	}{
		{"forwards a port", "ssh|-N|-L|8080:localhost:80|host", false},
		{"plain", "ssh|host", false},
		{"Lima's own",
			"ssh|-F|/dev/null|-o|IdentityFile=\"/home/ann/.lima/_config/user\"|-o|ControlPath=\"/home/ann/.lima/default/ssh.sock\"|-N|127.0.0.1", true},
		{"Lima's control socket", "ssh: /Users/ann/.lima/default/ssh.sock [mux]", true},
		{"Lima in quotes", "ssh|-o|IdentityFile='/home/ann/.lima/_config/user'", true},
		{"Colima", "ssh|-F|/Users/ann/.colima/_lima/colima/ssh.config|lima-colima", true},
		{"Colima's own Lima", "ssh|-S|/Users/ann/.config/colima/_lima/colima/ssh.sock", true},
		{"similar names", "ssh|-i|/home/ann/.limassol/key|/srv/lima/x|_limax", false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := limaArgs(strings.Split(tt.args, "|")); got != tt.want {
				t.Errorf("limaArgs(%q) = %v", tt.args, got)
			}
		})
	}
}
