package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// role is the environment variable that makes the test binary play a part in a test.
const role = "PORTTRAY_TEST_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(role) {
	case "network":
		err = roleNetwork(os.Args[1])
	case "stranger":
		err = roleStranger()
	case "hidden":
		if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err == nil {
			err = unix.Mount("proc", "/proc", "proc", 0, "hidepid=2")
		}
		if err == nil {
			err = roleNetwork(os.Args[1])
		}
	case "no /proc":
		if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err == nil {
			err = unix.Mount("none", "/proc", "tmpfs", 0, "size=4k")
		}
		if err == nil {
			err = roleNetwork(os.Args[1])
		}
	case "sandbox":
		if err = refuseNetlink(); err == nil {
			err = roleNetwork(os.Args[1])
		}
	default:
		m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestSystem checks this system.
func TestSystem(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start := time.Now()
	all := System(t.Context())
	for _, f := range all {
		t.Log(text(f))
	}
	t.Logf("took %v", time.Since(start))
	wellFormed(t, all)
	for _, want := range []string{"system works: ", "listeners ", "owners ", "endings ", "containers "} {
		if !slices.ContainsFunc(all, func(f Finding) bool { return strings.HasPrefix(text(f), want) }) {
			t.Errorf("nothing begins with %q", want)
		}
	}
	if says := all[0].Says; !strings.Contains(says, ", Linux ") {
		t.Errorf("the kernel is missing in %q", says)
	}
	if got := about(all, "listeners")[0]; strings.Contains(got, ": 0 listeners") ||
		!strings.Contains(got, "listed by ") {
		t.Errorf("a listener is missing in %q", got)
	}
}

// TestSystemStranger checks as an ordinary user, in a network with one listener of root. It copies the test binary,
// because other users may not reach its directory.
func TestSystemStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run processes as other users")
	}
	program := filepath.Join(strangersDir(t), "stranger")
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(program, self, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	const quick, detour = "works 1 listener on 1 port, listed by sock_diag; ",
		"lacks 1 listener on 1 port, listed by /proc/net/tcp; "
	tests := []struct {
		role      string
		listeners string
		says, fix string // about the owners or, in a sandbox, about the listeners
	}{
		{"network", quick, "", "the tray needs no root"},
		{"hidden", quick, "; /proc hides processes (hidepid=", "the tray needs no root"},
		{"no /proc", quick, "; /proc hides processes (it is not mounted)", "the tray needs no root"},
		{"sandbox", detour, "A faster method fails here: open a sock_diag socket: operation not permitted",
			"outside the sandbox"},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			cmd := exec.Command(program, program)
			cmd.Env = append(os.Environ(), role+"="+tt.role, "GORACE=atexit_sleep_ms=0")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
				t.Skip("this root may not make a network")
			}
			if err != nil {
				t.Fatal(err)
			}
			var found struct {
				Port     uint16
				Findings []struct{ Topic, State, Says, Fix string }
			}
			if err := json.Unmarshal(out, &found); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want := map[string]string{
				"listeners": tt.listeners,
				"owners": fmt.Sprintf("lacks the owners of 1 of 1 listener are hidden; held by other users' "+
					"processes: %d", found.Port),
			}
			said := false
			for _, f := range found.Findings {
				if !strings.HasPrefix(f.State+" "+f.Says, want[f.Topic]) {
					t.Errorf("%s: %s %s\nwant %s", f.Topic, f.State, f.Says, want[f.Topic])
				}
				said = said || strings.Contains(f.Says, tt.says) && strings.Contains(f.Fix, tt.fix)
				delete(want, f.Topic)
			}
			if len(want) > 0 || !said {
				t.Errorf("nothing is found on %v; said %q with %q: %v", want, tt.says, tt.fix, said)
			}
		})
	}
}

// refuseNetlink forbids netlink sockets to this process and its children (seccomp(2)).
func refuseNetlink() error {
	const number, firstArg = 0, 16 // offsets in struct seccomp_data, for little-endian systems
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArg},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AF_NETLINK, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// strangersDir returns a new directory that every user can reach.
func strangersDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "doctor")
	if err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// roleNetwork listens as root in its own network, and runs the doctor as an ordinary user.
func roleNetwork(program string) error {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	defer l.Close()
	cmd := exec.Command(program)
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.Env = append(os.Environ(), role+"=stranger", "HOME=/nonexistent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	findings, err := cmd.Output()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"port": l.Addr().(*net.TCPAddr).Port,
		"findings": json.RawMessage(findings)})
}

func roleStranger() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return json.NewEncoder(os.Stdout).Encode(System(ctx))
}

// TestSystemEngines has an engine that hangs, one that has ended, and one that a connection would start.
func TestSystemEngines(t *testing.T) {
	dir := strangersDir(t)
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", filepath.Join(dir, "home"))
	t.Setenv("XDG_RUNTIME_DIR", dir)
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "podman"), 0o700),
		os.MkdirAll(filepath.Join(dir, "home/.docker/run"), 0o700)); err != nil {
		t.Fatal(err)
	}
	listen := func(name string) *net.UnixListener {
		t.Helper()
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	hung, gone, asleep := listen("hung-docker.sock"), listen("home/.docker/run/docker.sock"),
		listen("podman/podman.sock")
	t.Setenv("DOCKER_HOST", "unix://"+hung.Addr().String())
	gone.SetUnlinkOnClose(false)
	gone.Close()

	start := time.Now()
	all := System(t.Context())
	if took := time.Since(start); took > askLimit+time.Second {
		t.Errorf("it took %v", took)
	}
	wellFormed(t, all)
	for _, want := range []string{
		"containers lacks: Docker does not answer (" + dir + "/hung-docker.sock) → ",
		"containers works: Docker is not running (" + dir + "/home/.docker/run/docker.sock)",
		"containers works: the engine at " + dir + "/podman/podman.sock was not asked, because that would start it",
	} {
		if got := about(all, "containers"); !slices.ContainsFunc(got,
			func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("got\n%s\nwithout %s", strings.Join(got, "\n"), want)
		}
	}
	soon := time.Now().Add(50 * time.Millisecond) // earlier connections already wait
	if err := errors.Join(hung.SetDeadline(soon), asleep.SetDeadline(soon)); err != nil {
		t.Fatal(err)
	}
	if conn, err := hung.AcceptUnix(); err != nil {
		t.Error("the engine that hangs was not asked:", err)
	} else {
		asked, _ := io.ReadAll(conn) // the client has closed the connection
		if !strings.HasPrefix(string(asked), "GET /containers/json ") {
			t.Errorf("the engine was asked %q", asked)
		}
		conn.Close()
	}
	if conn, err := asleep.Accept(); err == nil {
		conn.Close()
		t.Error("an engine was woken")
	}
}

func TestPrettyName(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", "Debian GNU/Linux 12 (bookworm)"},
		{"PRETTY_NAME='Arch Linux'", "Arch Linux"},
		{"  PRETTY_NAME=Void\r\n", "Void"},
		{`PRETTY_NAME="a \"b\" \$c \\ d"`, `a "b" $c \ d`},
		{"PRETTY_NAME=old\nPRETTY_NAME=new\n", "new"},
		{"#PRETTY_NAME=comment\nOLD_PRETTY_NAME=x\n", ""},
		{"PRETTY_NAME=\"torn", "torn"},
	}
	for _, tt := range tests {
		if got := prettyName(tt.text); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}
