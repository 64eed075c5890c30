//go:build linux

package tray_test

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A network is a network namespace of the tests' own: what listens in it is seen from there only, and nothing else is. It is
// what a command is prefixed with to run there; where the system does not allow such a network it is nil, and everything runs
// in the one there is. Root is allowed to have one, others are where there are user namespaces for everybody.
type network []string

// networkRole is the environment variable that makes the test binary keep a new network, for as long as its value says.
const networkRole = "PORTTRAY_TEST_NETWORK"

// newNetwork returns a network that has loopback and nothing that listens.
func newNetwork(t testing.TB) network {
	t.Helper()
	if networkRefused() != nil {
		return nil
	}
	keeper := networkKeeper("24h") // longer than anything measures
	p := startProcess(t, keeper)
	if !poll(patience, func() bool { return p.exited() || p.output() != "" }) || p.exited() {
		t.Fatalf("no network:\n%s", p.output())
	}
	namespaces := "/proc/" + strconv.Itoa(p.pid()) + "/ns/"
	enter := network{"nsenter", "--net=" + namespaces + "net"}
	if keeper.SysProcAttr.Cloneflags&syscall.CLONE_NEWUSER != 0 {
		enter = append(enter, "--user="+namespaces+"user", "--preserve-credentials")
	}
	return append(enter, "--")
}

// command returns the command that runs a program in the network. It is the same process: nsenter becomes the program.
func (n network) command(path string, args ...string) *exec.Cmd {
	line := append(append(network{}, n...), path)
	line = append(line, args...)
	return exec.Command(line[0], line[1:]...)
}

// networkKeeper returns the command that makes a new network and keeps it for some time.
func networkKeeper(duration string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), networkRole+"="+duration)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		const netAdmin = 12 // CAP_NET_ADMIN, within the new user namespace
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		cmd.SysProcAttr.AmbientCaps = []uintptr{netAdmin}
	}
	return cmd
}

// networkRefused returns why there cannot be a network, nil if there can.
var networkRefused = sync.OnceValue(func() error {
	if _, err := exec.LookPath("nsenter"); err != nil {
		return err
	}
	if out, err := networkKeeper("0s").CombinedOutput(); err != nil {
		return fmt.Errorf("no network of the test's own, which root may have: %w %s", err, strings.TrimSpace(string(out)))
	}
	return nil
})

// beNetwork is the whole life of a network.
func beNetwork(duration string) error {
	d, err := time.ParseDuration(duration)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	// struct ifreq of netdevice(7)
	up := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{name: [syscall.IFNAMSIZ]byte{'l', 'o'}, flags: syscall.IFF_UP}
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&up))); err != 0 {
		return os.NewSyscallError("bring up loopback", err)
	}
	fmt.Println("up")
	time.Sleep(d)
	return nil
}

// parallel lets the test run beside others, if what listens for them does not show up in it.
func parallel(t *testing.T) {
	if networkRefused() == nil {
		t.Parallel()
	}
}

// needNetwork is for tests that count, or that know all that listens.
func (d *desktop) needNetwork() {
	d.t.Helper()
	tool(d.t, "nsenter")
	if d.network == nil {
		mayNot(d.t, networkRefused())
	}
}
