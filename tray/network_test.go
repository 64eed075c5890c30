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

// A network is a network namespace of the tests' own. Its listeners are visible only inside, and only they are visible
// there. The value is the command prefix that runs a program inside. It is nil if the system does not allow a new
// network; then everything runs in the present one. Root may make one. Others may if the system allows them user
// namespaces.
type network []string

// networkRole is the environment variable that makes the test binary keep a new network. Its value is the duration.
const networkRole = "PORTTRAY_TEST_NETWORK"

// newNetwork returns a network with loopback and without listeners.
func newNetwork(t testing.TB) network {
	t.Helper()
	if networkRefused() != nil {
		return nil
	}
	keeper := networkKeeper("24h") // longer than any test
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

// command returns the command that runs a program in the network. The PID stays: nsenter calls exec.
func (n network) command(path string, args ...string) *exec.Cmd {
	line := append(append(network{}, n...), path)
	line = append(line, args...)
	return exec.Command(line[0], line[1:]...)
}

// networkKeeper returns the command that makes a new network and keeps it for a duration.
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
		return fmt.Errorf("cannot make a network of the test's own (root can): %w %s", err,
			strings.TrimSpace(string(out)))
	}
	return nil
})

// beNetwork runs in the process that keeps a network, until the duration is over.
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
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS,
		uintptr(unsafe.Pointer(&up))); err != 0 {
		return os.NewSyscallError("bring up loopback", err)
	}
	fmt.Println("up")
	time.Sleep(d)
	return nil
}

// parallel runs the test in parallel with others, if it cannot see their listeners.
func parallel(t *testing.T) {
	if networkRefused() == nil {
		t.Parallel()
	}
}

// needNetwork skips the test without a network. Tests need one if they count listeners or expect an exact list.
func (d *testDesktop) needNetwork() {
	d.t.Helper()
	tool(d.t, "nsenter")
	if d.network == nil {
		mayNot(d.t, networkRefused())
	}
}
