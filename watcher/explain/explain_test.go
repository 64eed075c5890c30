package explain

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/port"
	"porttray/watcher/server"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"62893", "port 62893"},
		{":62893", "port 62893"},
		{" 62893\n", "port 62893"},
		{"127.0.0.1:62893", "127.0.0.1:62893"},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80"},
		{"localhost:62893", "localhost:62893"},
		{"LocalHost.:62893", "localhost:62893"},
		{"[::1.]:62893", "[::1]:62893"},
		{"http://%1b[2J:80", "error: not a URL, such as http://localhost:3000"},
		{"[fe80::1%\x1b[2J]:80", "error: not an address with a port, such as 127.0.0.1:3000 or [::1]:3000"},
		{"app.localhost:3000", "app.localhost:3000"},
		{"[::1]:62893", "[::1]:62893"},
		{"[fe80::1%lo]:62893", "[fe80::1%lo]:62893"},
		{"0.0.0.0:80", "0.0.0.0:80"},
		{"*:80", "*:80"},
		{"localhost:3000/admin?x=1", "localhost:3000"},
		{"3000/tcp", "port 3000"},
		{"localhost/admin", "error: the port is missing; add it after a colon: localhost:3000"},
		{"http://localhost:3000/admin", "localhost:3000"},
		{"http://user:secret@127.0.0.1:3000", "127.0.0.1:3000"},
		{"http://localhost", "localhost:80"},
		{"https://[::1]/", "[::1]:443"},
		{"ws://127.0.0.1:24678", "127.0.0.1:24678"},
		{"wss://127.0.0.1", "127.0.0.1:443"},
		{"", "error: a port is a number from 1 to 65535"},
		{"0", "error: a port is a number from 1 to 65535"},
		{"65536", "error: a port is a number from 1 to 65535"},
		{"+80", "error: a port is a number from 1 to 65535"},
		{"localhost", "error: the port is missing; add it after a colon: localhost:3000"},
		{"127.0.0.1", "error: the port is missing; add it after a colon: 127.0.0.1:3000"},
		{"::1", "error: the port is missing; write an IPv6 address with a port as [::1]:3000"},
		{"fe80::1:2:3000", "error: the port is missing; write an IPv6 address with a port as [fe80::1:2]:3000"},
		{"a:b:c", "error: not an address with a port, such as 127.0.0.1:3000 or [::1]:3000"},
		{"localhost:", "error: a port is a number from 1 to 65535"},
		{"http://:80", "error: not a URL, such as http://localhost:3000"},
		{"http://%zz", "error: not a URL, such as http://localhost:3000"},
		{"example.invalid:80", `error: "example.invalid" is not a name of this computer; ` +
			`give an address and a port, such as 127.0.0.1:80`},
	} {
		q, err := Parse(t.Context(), tt.text)
		got := q.String()
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"62893", "[::1]:1", "http://localhost:3000/x", "a:b:c", "*:80", "%zz://", "\x1b[2J:1",
		"::1:3000", "\x1b]0;x\a", "[fe80::1%\x1b[2J]:3000",
		"App.LocalHost.:3000", "127.0.0.1:03000", "wss://[::1]", "3000/tcp", "[::ffff:127.0.0.1%eth0]:80", ":3000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse(t.Context(), s)
		if err != nil {
			if text := err.Error(); text != owner.Printable(text, 0) {
				t.Errorf("%q: the error is %q, which is unfit for a terminal", s, text)
			}
			return
		}
		if q.Port == 0 || q.name != "" && len(q.Addrs) == 0 || q.name != strings.ToLower(q.name) {
			t.Errorf("%q is understood as %+v", s, q)
		}
		for _, a := range q.Addrs {
			if !a.IsValid() || a.Is4In6() {
				t.Errorf("%q is understood as %+v", s, q)
			}
		}
		if text := q.String(); text != owner.Printable(text, 0) {
			t.Errorf("%q is called %q, which is unfit for a terminal", s, text)
		}
		// Its text parses to the same question.
		again, err := Parse(t.Context(), strings.TrimPrefix(q.String(), "port "))
		if err != nil || again.Port != q.Port || again.name != q.name || !slices.Equal(again.Addrs, q.Addrs) {
			t.Errorf("%q is %v, and that is %v, %v", s, q, again, err)
		}
	})
}

func TestKindOf(t *testing.T) {
	own := []Interface{{"eth0", netip.MustParseAddr("192.0.2.7")}, {"eth0", netip.MustParseAddr("fe80::7%eth0")}}
	for addr, want := range map[string]string{
		"127.0.0.1": "loopback ", "127.255.255.254": "loopback ", "::1": "loopback ", "0.0.0.0": "wildcard ",
		"::":        "wildcard ",
		"192.0.2.7": "own eth0", "192.0.2.8": "elsewhere ", "fe80::7": "own eth0", "fe80::7%eth0": "own eth0",
		"fe80::7%eth1": "elsewhere ", "2001:db8::1": "elsewhere ",
	} {
		kind, at := kindOf(netip.MustParseAddr(addr), own)
		if got := fmt.Sprint(kind, " ", at); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
}

// TestTablesNameTools checks that the tables of this package name only existing tools.
func TestTablesNameTools(t *testing.T) {
	known := facts.ToolNames()
	for name := range portOptions {
		if !known[name] {
			t.Errorf("there is no tool %q that could be told to take another port", name)
		}
		if n := strings.Count(portOptions[name], "{}"); n != 1 {
			t.Errorf("%s: the port stands %d times in %q", name, n, portOptions[name])
		}
	}
}

func TestOtherPort(t *testing.T) {
	var vite, unknown, container server.Listener
	vite.Facts.Tool.Name, unknown.Facts.Tool.Name = "Vite", "something else"
	container.Container = engine.Container{ID: "c"}
	container.Facts.Tool.Name = "PostgreSQL"
	for _, tt := range []struct {
		l    server.Listener
		want string
	}{{vite, "vite --port 5174"}, {unknown, ""}, {container, "docker run -p 5174:…"}} {
		if got := otherPort(tt.l, 5174); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.l.Facts.Tool.Name, got, tt.want)
		}
	}
}

func TestManagerCommand(t *testing.T) {
	for _, tt := range []struct {
		goos    string
		manager facts.Manager
		want    string
	}{
		{"linux", facts.Manager{Name: "nginx.service", System: true}, "sudo systemctl stop nginx.service"},
		{"linux", facts.Manager{Name: "my web.service"}, "systemctl --user stop " + facts.Quote("my web.service")},
		{"darwin", facts.Manager{Name: "homebrew.mxcl.redis"}, "launchctl bootout gui/$(id -u)/homebrew.mxcl.redis"},
		{"windows", facts.Manager{Name: "MySQL80", System: true}, "sc stop MySQL80"},
	} {
		if got := managerCommand(tt.goos, tt.manager); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.goos, got, tt.want)
		}
	}
}

// TestAdviceElsewhere checks the advice for each system.
func TestAdviceElsewhere(t *testing.T) {
	a := Answer{Port: Port{Number: 80}, Binds: []Bind{{state: port.NotPermitted}}}
	reserved := Answer{Port: Port{Number: 50000, Reserved: true}}
	for _, tt := range []struct{ name, got, want string }{
		{"privileged on macOS", a.adviseForbidden("darwin").Command, ""},
		{"privileged on Linux", a.adviseForbidden("linux").Command,
			"sudo sysctl net.ipv4.ip_unprivileged_port_start=80"},
		{"reserved", reserved.adviseForbidden("windows").Command,
			"netsh interface ipv4 show excludedportrange protocol=tcp"},
		{"filtered on Windows", a.adviseFiltered("windows")[1].Command,
			"netsh advfirewall firewall show rule name=all"},
		{"filtered on macOS", a.adviseFiltered("darwin")[1].Command, "sudo pfctl -s rules"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

// TestAdviceOfRefused has a server that porttray does not stop. The advice says why.
func TestAdviceOfRefused(t *testing.T) {
	a := Answer{servers: []server.Listener{{Port: 3000, Owner: owner.Process{PID: 7, Start: 1, Name: "node",
		Refusal: "another user's process"}}}}
	got := a.adviseStop()
	if len(got) != 1 || got[0].Command != "" ||
		!strings.HasSuffix(got[0].Says, "does not stop it: another user's process.") {
		t.Errorf("the advice is %+v", got)
	}
}

// TestAdviceOfShares has one server of several processes on a port, and two servers on a port.
func TestAdviceOfShares(t *testing.T) {
	listener := func(pid int32, addr string, change func(*server.Listener)) server.Listener {
		l := server.Listener{Port: 8080, Addrs: []netip.Addr{netip.MustParseAddr(addr)},
			Owner: owner.Process{PID: pid, Start: uint64(pid), Name: "app", Exe: "/app", Dir: "/shop"}}
		change(&l)
		return l
	}
	proxy := func(l *server.Listener) {
		l.Owner.Name, l.Owner.Refusal = "docker-proxy", "forwards for a container or VM"
	}
	published := func(l *server.Listener) { proxy(l); l.Container = engine.Container{ID: "a1", Name: "web"} }
	other := func(l *server.Listener) { proxy(l); l.Container = engine.Container{ID: "a2", Name: "api"} }
	silent := func(l *server.Listener) {
		proxy(l)
		l.Untold = "No Podman socket: systemctl --user start podman.socket"
	}
	worker := func(l *server.Listener) { l.Facts.Forked, l.Facts.Ancestors[0] = true, owner.ID{PID: 1, Start: 1} }
	alone := func(*server.Listener) {}
	for _, c := range []struct {
		name      string
		listeners []server.Listener
		ambiguous bool
		want      string // the commands in the advice
	}{
		{"a container, IPv4 and IPv6", []server.Listener{listener(2, "0.0.0.0", published),
			listener(3, "::", published)}, false, "porttray stop 8080"},
		{"an unknown container, IPv4 and IPv6", []server.Listener{listener(2, "0.0.0.0", proxy),
			listener(3, "::", proxy)}, false, ""},
		{"a container of Podman without a socket", []server.Listener{listener(2, "0.0.0.0", silent)}, false,
			"systemctl --user start podman.socket"},
		{"two containers", []server.Listener{listener(2, "127.0.0.1", published), listener(3, "::1", other)}, true,
			"porttray stop 127.0.0.1:8080, porttray stop [::1]:8080"},
		{"workers", []server.Listener{listener(2, "127.0.0.1", worker), listener(3, "127.0.0.1", worker)}, false,
			"porttray stop 8080"},
		{"two servers", []server.Listener{listener(2, "127.0.0.1", alone), listener(3, "::1", alone)}, true,
			"porttray stop 127.0.0.1:8080, porttray stop [::1]:8080"},
	} {
		a := Answer{servers: c.listeners, anywhere: true,
			Address: Address{Addresses: []netip.Addr{v4Loopback, v6Loopback}}}
		var commands []string
		for _, advice := range a.adviseStop() {
			if advice.Command != "" {
				commands = append(commands, advice.Command)
			}
		}
		if got := strings.Join(commands, ", "); got != c.want || a.ambiguous() != c.ambiguous {
			t.Errorf("%s: got %q, ambiguous %v, want %q, %v", c.name, got, a.ambiguous(), c.want, c.ambiguous)
		}
	}
}

// TestExplainSeen explains a port with a closed server from the history file of another porttray.
func TestExplainSeen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the file is elsewhere")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	number := l.Addr().(*net.TCPAddr).Port
	l.Close()
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	file := filepath.Join(state, "porttray", "seen.json")
	text := fmt.Sprintf(`{"closed": [{"port": %d, "name": "shop · Vite", "directory": "/home/ann/my shop",
		"closed": %q, "reason": "exited with status 1"}]}`, number, time.Now().UTC().Format(time.RFC3339))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Explain(t.Context(), Question{Port: uint16(number)}, false)
	if err != nil {
		t.Fatal(err)
	}
	if a.Last == nil || a.Last.Name != "shop · Vite" || a.Last.Reason != "exited with status 1" ||
		a.Trouble != NotRunning {
		t.Fatalf("last was %+v, untold %q", a.Last, a.Untold)
	}
	if got, want := a.Advice[0].Command, "cd '/home/ann/my shop'"; got != want {
		t.Errorf("the advice is %q, want %q", got, want)
	}
}

// BenchmarkExplain explains a free port and a port in use.
func BenchmarkExplain(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	busy := uint16(l.Addr().(*net.TCPAddr).Port)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	free := uint16(other.Addr().(*net.TCPAddr).Port)
	other.Close()
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	for name, number := range map[string]uint16{"busy": busy, "free": free} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Explain(context.Background(), Question{Port: number}, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
