//go:build linux

package tray_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// The desktop of the end-to-end tests is a private session bus. The test process plays the panel and the notification
// service there, and the program runs as shipped. The parts, file by file:
//
//	desktop_test.go     buildProgram: the program itself, built once
//	                    testDesktop: the bus and the environment of the program
//	process_test.go     process: any child of the tests: its output, its exit, its end with the test
//	network_test.go     network: the desktop's own loopback interface, without other listeners
//	host_test.go        host, item: the panel with the tray; the program's icon and menu in that panel
//	node_test.go        node: a visible menu entry
//	notifier_test.go    notifier: the notification service
//	victim_test.go      victim: a separate listening process that tests may stop
//	session_test.go     session: the program in the tray of a desktop, with its icon, menu and notifications
//	traffic_test.go     monitor: the program's messages on the bus
//	screen_test.go      screen: an X server, its picture, and a real panel there
//	compositor_test.go  compositor: sway and KDE Plasma with their panels, for tests with the build tag desktop, like
//	pointer_test.go     pointer: a mouse of a Wayland session
//	witness_test.go     witness: the panel's calls on the bus and the answers
//	wine_test.go        wine, wineTray: the Windows build of the program, in Wine
//
// Everything ends with the test that started it. Its methods can fail that test, so only its goroutine may call them.

// patience bounds every wait without a limit of its own. It is long, because a passing test never waits that long.
const patience = time.Minute

// poll calls ok at least once, until it returns true. It reports whether that happened within the timeout.
func poll(timeout time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(timeout); ; time.Sleep(10 * time.Millisecond) {
		late := time.Now().After(deadline)
		if ok() {
			return true
		}
		if late {
			return false
		}
	}
}

// stays reports whether ok holds all the time. It checks that something does not happen.
func stays(d time.Duration, ok func() bool) bool {
	return !poll(d, func() bool { return !ok() })
}

// tool returns the path of a program that the test needs. Without it the test is skipped, except under CI.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		lack(t, err)
	}
	return path
}

// lack skips the test because something is missing. Under CI it fails the test.
func lack(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// mayNot skips the test because this user lacks a permission. Under CI, root must have it.
func mayNot(t testing.TB, err error) {
	t.Helper()
	if os.Geteuid() == 0 {
		lack(t, err)
	}
	t.Skip(err)
}

// offline runs a command with Go modules and returns its output. It uses only this machine's module cache for modules,
// tools and toolchains, and skips the test if something is missing. Under CI it may fetch.
func offline(t testing.TB, cmd *exec.Cmd) (out []byte, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		return cmd.CombinedOutput()
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	proxy := "file://" + filepath.ToSlash(string(bytes.TrimSpace(cache))) + "/cache/download" // go help goproxy
	// The checksum database is on the network. Modules in the cache were checked before.
	cmd.Env = append(cmd.Environ(), "GOPROXY="+proxy, "GOSUMDB=off")
	out, err = cmd.CombinedOutput()
	if err != nil && (bytes.Contains(out, []byte("reading "+proxy)) ||
		bytes.Contains(out, []byte("toolchain not available"))) {
		lack(t, fmt.Errorf("%s would have to fetch something: %s", filepath.Base(cmd.Path), bytes.TrimSpace(out)))
	}
	return out, err
}

// buildDir is where buildProgram puts the program; TestMain makes and removes it.
var buildDir string

func TestMain(m *testing.M) {
	for role, be := range map[string]func(string) error{networkRole: beNetwork, victimRole: beVictim} {
		if what := os.Getenv(role); what != "" {
			if err := be(what); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	dir, err := os.MkdirTemp("", "porttray")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	buildDir = dir
	// These tests wait more than they work, so more of them run at once than there are processors. This is a default:
	// the flags of the command line are read later.
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	m.Run()
}

// buildProgram returns the path of the program; the first call builds it. It never takes the race detector from the
// tests, because that costs several times the memory and time. PORTTRAY_RACE turns it on: a race then fails its test.
func buildProgram(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	path := filepath.Join(buildDir, "porttray")
	// This flag outranks GOFLAGS. No version is needed, and git refuses to read one in another user's clone.
	race := fmt.Sprintf("-race=%v", os.Getenv("PORTTRAY_RACE") != "")
	args := []string{"build", "-buildvcs=false", race, "-o", path, "porttray"}
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build porttray: %w\n%s", err, out)
	}
	return path, nil
})

// A testDesktop is a private session: a message bus, a home directory, programs in PATH and, if possible, a network.
type testDesktop struct {
	t       testing.TB
	dir     string
	vars    map[string]string
	bus     *process // kill it to end the session
	network network
}

// busConfig configures a session bus with room for any test. Its directory of services is empty by default.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <servicedir>%s</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">1000000000</limit>
  <limit name="max_completed_connections">1000</limit>
  <limit name="max_match_rules_per_connection">10000</limit>
  <limit name="max_replies_per_connection">10000</limit>
  <limit name="reply_timeout">600000</limit>
</busconfig>
`

// newDesktop starts a session without tray host and notification service. It needs dbus-daemon, see tool.
func newDesktop(t testing.TB) *testDesktop {
	t.Helper()
	daemon := tool(t, "dbus-daemon")
	// The path of a socket has at most 107 bytes. Names from t.TempDir can be longer.
	dir, err := os.MkdirTemp("", "tray")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &testDesktop{t: t, dir: dir}
	t.Cleanup(d.empty) // runs after every process has ended
	d.network = newNetwork(t)
	for _, name := range []string{"bin", "home", "run", "services", "tmp"} {
		if err := os.Mkdir(d.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d.shim("xdg-open", fmt.Sprintf(`printf '%%s\n' "$1" >>'%s'`, d.path("urls")))
	// Programs installed here must not matter. beeep would fall back to the first two, godbus to its own bus.
	for _, name := range []string{"notify-send", "kdialog", "dbus-launch"} {
		d.shim(name, "exit 1")
	}

	config := d.path("bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, d.path("bus"), d.path("services")), 0o600); err != nil {
		t.Fatal(err)
	}
	d.bus = startProcess(t, exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile", "--print-address"))
	// dbus-daemon prints the address, sometimes among warnings, when the bus accepts connections.
	address := "unix:path=" + d.path("bus")
	ready := func() bool { return strings.Contains(d.bus.output(), address) }
	if !poll(patience, func() bool { return d.bus.exited() || ready() }) || d.bus.exited() {
		t.Fatalf("dbus-daemon did not start:\n%s", d.bus.output())
	}
	d.vars = map[string]string{
		"PATH":                     d.path("bin") + ":" + os.Getenv("PATH"),
		"HOME":                     d.path("home"),
		"TMPDIR":                   d.path("tmp"),
		"LANG":                     "C.UTF-8",
		"TZ":                       "UTC",
		"DISPLAY":                  ":97",
		"XDG_CURRENT_DESKTOP":      "XFCE",
		"XDG_RUNTIME_DIR":          d.path("run"),
		"XDG_CONFIG_HOME":          d.path("home/.config"),
		"XDG_CACHE_HOME":           d.path("home/.cache"),
		"XDG_DATA_HOME":            d.path("home/.local/share"),
		"XDG_STATE_HOME":           d.path("home/.local/state"),
		"DBUS_SESSION_BUS_ADDRESS": address,
	}
	return d
}

func (d *testDesktop) path(name string) string { return filepath.Join(d.dir, name) }

// env returns the environment of the session. It takes nothing from the test process, except the end of PATH.
func (d *testDesktop) env() []string {
	var env []string
	for key, value := range d.vars {
		env = append(env, key+"="+value)
	}
	slices.Sort(env)
	return env
}

// setenv changes the environment for later programs. An empty value removes the variable.
func (d *testDesktop) setenv(key, value string) {
	d.vars[key] = value
	if value == "" {
		delete(d.vars, key)
	}
}

// shim adds a shell script to the session. It is first in PATH.
func (d *testDesktop) shim(name, script string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.path("bin"), name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		d.t.Fatal(err)
	}
}

// urls returns all arguments of xdg-open so far, oldest first.
func (d *testDesktop) urls() []string {
	d.t.Helper()
	urls, err := os.ReadFile(d.path("urls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
	return strings.Fields(string(urls))
}

// command returns the command to run a program in this session, in the home directory.
func (d *testDesktop) command(path string, args ...string) *exec.Cmd {
	cmd := d.network.command(path, args...)
	cmd.Env, cmd.Dir = d.env(), d.path("home")
	return cmd
}

// start runs a program in this session. If the test fails, its output is logged.
func (d *testDesktop) start(path string, args ...string) *process {
	d.t.Helper()
	p := startProcess(d.t, d.command(path, args...))
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("output of %s:\n%s", filepath.Base(path), p.output())
		}
	})
	return p
}

// run runs a program in this session to its end. It returns the output and the exit code.
func (d *testDesktop) run(path string, args ...string) (out, errs string, exitCode int) {
	d.t.Helper()
	cmd := d.command(path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, time.Second
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	limit := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer limit.Stop()
	cmd.Wait() // ProcessState says how it ended
	noRace(d.t, path, stderr.String())
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// empty makes sure that no program of this session has left a process behind.
func (d *testDesktop) empty() {
	var left []string
	if !poll(patience, func() bool { left = d.programs(); return len(left) == 0 }) {
		d.t.Errorf("processes were left behind: %q", left)
	}
}

// programs returns the command lines of the processes that have the environment of this session.
func (d *testDesktop) programs() []string {
	var found []string
	paths, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is valid
	for _, path := range paths {
		env, _ := os.ReadFile(path) // empty if the process has ended or belongs to another user
		if bytes.Contains(env, []byte("HOME="+d.path("home")+"\x00")) {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			found = append(found, string(line))
		}
	}
	return found
}

// onSignal handles the signals of a connection. It runs before later messages are read: when a reply arrives, it has
// seen all earlier signals. It must not make calls.
type onSignal func(*dbus.Signal)

func (f onSignal) DeliverSignal(_, _ string, s *dbus.Signal) { f(s) }

// connect returns a new connection to the bus. It is closed at the end of the test.
func (d *testDesktop) connect(f onSignal) *dbus.Conn {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	limit := time.AfterFunc(patience, cancel)
	conn, err := dbus.Connect(d.vars["DBUS_SESSION_BUS_ADDRESS"], dbus.WithContext(ctx), dbus.WithSignalHandler(f))
	limit.Stop()
	if err != nil {
		cancel()
		d.t.Fatalf("connect to the bus: %v", err)
	}
	d.t.Cleanup(func() { conn.Close(); cancel() })
	return conn
}

// own acquires a name that nobody else owns.
func (d *testDesktop) own(conn *dbus.Conn, name string) {
	d.t.Helper()
	reply, err := call(conn.BusObject(), "org.freedesktop.DBus.RequestName", name, uint32(dbus.NameFlagDoNotQueue))
	if err != nil || reply[0] != uint32(dbus.RequestNameReplyPrimaryOwner) {
		d.t.Fatalf("own %s: %v %v", name, reply, err)
	}
}

// free waits until a name has no owner.
func (d *testDesktop) free(name string) {
	d.t.Helper()
	onlooker := d.connect(func(*dbus.Signal) {})
	defer onlooker.Close()
	if !poll(patience, func() bool {
		has, err := call(onlooker.BusObject(), "org.freedesktop.DBus.NameHasOwner", name)
		return err == nil && has[0] == false
	}) {
		d.t.Fatalf("%s is still there", name)
	}
}

// leave gives a name back and closes the connection. The bus may be gone already, so nothing here can fail.
func leave(conn *dbus.Conn, name string) {
	call(conn.BusObject(), "org.freedesktop.DBus.ReleaseName", name)
	conn.Close()
}

// call calls a method and returns the values of its reply.
func call(obj dbus.BusObject, method string, args ...any) ([]any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := obj.CallWithContext(ctx, method, 0, args...)
	return c.Body, c.Err
}

// file reports whether the file exists.
func (d *testDesktop) file(name string) bool {
	_, err := os.Stat(d.path(name))
	return err == nil
}
