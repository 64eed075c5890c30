//go:build linux

package tray_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// This file is the desktop of the end-to-end tests: a private session bus on which the test process plays the panel and the
// notification service, while the program runs as it is shipped. What it offers, from top to bottom:
//
//	buildProgram    the program itself, built once
//	process         anything the tests start: its output, its exit, its end with the test
//	desktop         the bus and the environment the program is started in
//	host, item      the panel with the tray, and the program's icon and menu as that panel sees them
//	node            a menu entry as a person sees it
//	notifier        the notification service
//	victim          a separate process that listens, and may be stopped
//
// Everything ends with the test that started it. Its methods fail that test, so they are for its goroutine only.

// patience bounds every wait that has no limit of its own. It is long, because nothing passes by waiting for it to end.
const patience = 20 * time.Second

// poll calls ok until it returns true, at least once, and reports whether that happened within the timeout.
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

// buildDir is where buildProgram puts the program; TestMain makes and removes it.
var buildDir string

func TestMain(m *testing.M) {
	if addrs := os.Getenv("PORTTRAY_TEST_VICTIM"); addrs != "" {
		if err := beVictim(strings.Split(addrs, ",")); err != nil {
			fmt.Fprintln(os.Stderr, "victim:", err)
			os.Exit(1)
		}
	}
	dir, err := os.MkdirTemp("", "porttray")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	buildDir = dir
	m.Run()
}

// buildProgram returns the path of the program, built by the first call. It is built without the race detector even when
// the tests have it, because systray and godbus have races of their own.
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
	// A flag given here outranks the same flag in GOFLAGS.
	out, err := exec.CommandContext(ctx, "go", "build", "-race=false", "-o", path, "porttray").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build porttray: %w\n%s", err, out)
	}
	return path, nil
})

// A process is something the test started.
type process struct {
	cmd  *exec.Cmd
	log  string        // the file that holds its output
	done chan struct{} // closed when it has ended and was waited for
}

// startProcess starts cmd. The process is killed at the end of the test, or by the system should the test process die.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: filepath.Join(t.TempDir(), "output"), done: make(chan struct{})}
	// The output goes to a file rather than through a pipe: nothing has to be drained, and a grandchild that keeps it open
	// holds nobody up.
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		cmd.Wait() // ProcessState says how it ended
	}()
	t.Cleanup(func() {
		p.signal(os.Kill)
		if _, err := p.wait(patience); err != nil {
			t.Errorf("kill %s: %v", cmd.Path, err)
		}
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// output returns what the process has written so far, standard output and standard error together.
func (p *process) output() string {
	out, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// signal sends sig. A process that has ended already is not an error.
func (p *process) signal(sig os.Signal) {
	p.cmd.Process.Signal(sig)
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait waits for the end of the process and returns its exit code, -1 if a signal ended it. The error says that it is
// still running.
func (p *process) wait(timeout time.Duration) (exitCode int, err error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(timeout):
		return 0, fmt.Errorf("process %d still runs after %v", p.pid(), timeout)
	}
}

// A desktop is a session of its own: a message bus, a home directory and the programs in PATH.
type desktop struct {
	t    testing.TB
	dir  string
	vars map[string]string
	bus  *process // kill it to end the session
}

// busConfig is a session bus that starts no services and has room for any test.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
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

// newDesktop starts an empty session: no tray host, no notification service. Without dbus-daemon the test is skipped,
// except under CI.
func newDesktop(t testing.TB) *desktop {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	// Not t.TempDir, whose names can be longer than the 107 bytes a socket's path may have.
	dir, err := os.MkdirTemp("", "tray")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &desktop{t: t, dir: dir}
	for _, name := range []string{"bin", "home", "run", "tmp"} {
		if err := os.Mkdir(d.path(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d.shim("xdg-open", fmt.Sprintf(`printf '%%s\n' "$1" >>'%s'`, d.path("urls")))
	// What is installed here makes no difference: beeep would fall back to the first two, godbus to a bus of its own.
	for _, name := range []string{"notify-send", "kdialog", "dbus-launch"} {
		d.shim(name, "exit 1")
	}

	config := d.path("bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, d.path("bus")), 0o600); err != nil {
		t.Fatal(err)
	}
	d.bus = startProcess(t, exec.Command(daemon, "--config-file="+config, "--nofork", "--nopidfile", "--print-address"))
	// The address is printed, sometimes among warnings, once the bus can be connected to.
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

func (d *desktop) path(name string) string { return filepath.Join(d.dir, name) }

// env returns the environment of the session. Nothing of the test's own gets in, except the end of PATH.
func (d *desktop) env() []string {
	var env []string
	for key, value := range d.vars {
		env = append(env, key+"="+value)
	}
	slices.Sort(env)
	return env
}

// setenv changes the environment for programs started from now on. An empty value takes the variable out.
func (d *desktop) setenv(key, value string) {
	d.vars[key] = value
	if value == "" {
		delete(d.vars, key)
	}
}

// shim puts a program into the session: a shell script that is found before any other program of that name.
func (d *desktop) shim(name, script string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.path("bin"), name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		d.t.Fatal(err)
	}
}

// urls returns what xdg-open was given so far, oldest first.
func (d *desktop) urls() []string {
	d.t.Helper()
	urls, err := os.ReadFile(d.path("urls"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.t.Fatal(err)
	}
	return strings.Fields(string(urls))
}

// start runs a program in this session, from the home directory. If the test fails its output is logged.
func (d *desktop) start(path string, args ...string) *process {
	d.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Dir = d.env(), d.path("home")
	p := startProcess(d.t, cmd)
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Logf("output of %s:\n%s", filepath.Base(path), p.output())
		}
	})
	return p
}

// onSignal makes a function take the signals of a connection. It is called before any later message is looked at, so after
// a reply all signals sent before it have been seen. It must not make calls.
type onSignal func(*dbus.Signal)

func (f onSignal) DeliverSignal(_, _ string, s *dbus.Signal) { f(s) }

// connect returns a new connection to the bus. It is closed at the end of the test.
func (d *desktop) connect(f onSignal) *dbus.Conn {
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

// own acquires a name that nobody else may have at the time.
func (d *desktop) own(conn *dbus.Conn, name string) {
	d.t.Helper()
	reply, err := call(conn.BusObject(), "org.freedesktop.DBus.RequestName", name, uint32(dbus.NameFlagDoNotQueue))
	if err != nil || reply[0] != uint32(dbus.RequestNameReplyPrimaryOwner) {
		d.t.Fatalf("own %s: %v %v", name, reply, err)
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

const (
	hostName = "org.kde.StatusNotifierWatcher"
	hostPath = "/StatusNotifierWatcher"
	itemName = "org.kde.StatusNotifierItem"
	menuName = "com.canonical.dbusmenu"
)

// A host is a panel with a tray. It follows the KDE protocol, see
// https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/.
type host struct {
	d     *desktop
	conn  *dbus.Conn
	props *prop.Properties

	mu      sync.Mutex // guards what follows
	items   []*item    // oldest first
	calls   int        // of RegisterStatusNotifierItem
	signals map[string]int
}

// startHost starts the panel. There can be one at a time; stop it and start another to restart the panel.
func (d *desktop) startHost() *host {
	d.t.Helper()
	h := &host{d: d, signals: map[string]int{}}
	h.conn = d.connect(h.see)
	var err error
	h.props, err = prop.Export(h.conn, hostPath, prop.Map{hostName: {
		"RegisteredStatusNotifierItems":  {Value: []string{}},
		"IsStatusNotifierHostRegistered": {Value: true},
		"ProtocolVersion":                {Value: int32(0)},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	err = h.conn.ExportMethodTable(map[string]any{
		"RegisterStatusNotifierItem": h.register,
		"RegisterStatusNotifierHost": func(string) *dbus.Error { return nil },
	}, hostPath, hostName)
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := call(h.conn.BusObject(), "org.freedesktop.DBus.AddMatch", "type='signal'"); err != nil {
		d.t.Fatal(err)
	}
	d.own(h.conn, hostName)
	h.emit("StatusNotifierHostRegistered")
	return h
}

// stop ends the panel as a crash would: its name is free when stop returns.
func (h *host) stop() { leave(h.conn, hostName) }

// emit broadcasts a signal. Nothing but the end of the connection can go wrong.
func (h *host) emit(signal string, args ...any) {
	h.conn.Emit(hostPath, hostName+"."+signal, args...)
}

// register is RegisterStatusNotifierItem. An item names its object path, or its bus name and means the usual path.
func (h *host) register(service string, sender dbus.Sender) *dbus.Error {
	i := &item{h: h, sender: string(sender), name: service + "/StatusNotifierItem", path: "/StatusNotifierItem"}
	if strings.HasPrefix(service, "/") {
		i.name, i.path = i.sender+service, dbus.ObjectPath(service)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	if !slices.ContainsFunc(h.items, func(known *item) bool { return known.name == i.name }) {
		h.items = append(h.items, i)
		h.publish()
	}
	h.emit("StatusNotifierItemRegistered", i.name)
	return nil
}

// publish makes the list of items what it is. The caller holds mu.
func (h *host) publish() {
	names := []string{}
	for _, i := range h.items {
		names = append(names, i.name)
	}
	h.props.SetMust(hostName, "RegisteredStatusNotifierItems", names)
}

// see counts the signals of everybody and drops the items of those who leave the bus.
func (h *host) see(s *dbus.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signals[s.Sender]++
	if s.Name != "org.freedesktop.DBus.NameOwnerChanged" || len(s.Body) != 3 || s.Body[2] != "" {
		return
	}
	gone := func(i *item) bool { return i.sender == s.Body[0] }
	for _, i := range h.items {
		if gone(i) {
			h.items = slices.DeleteFunc(slices.Clone(h.items), gone)
			h.publish()
			h.emit("StatusNotifierItemUnregistered", i.name)
			return
		}
	}
}

// registrations returns how often an item asked to be shown.
func (h *host) registrations() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

// shown returns the items in the tray, oldest first.
func (h *host) shown() []*item {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.items)
}

// item waits until there is an item in the tray and returns the newest.
func (h *host) item(timeout time.Duration) *item {
	h.d.t.Helper()
	var items []*item
	if !poll(timeout, func() bool { items = h.shown(); return len(items) > 0 }) {
		h.d.t.Fatalf("no tray item within %v", timeout)
	}
	return items[len(items)-1]
}

// An item is an icon in the tray of one host; it cannot be used after that host has stopped.
type item struct {
	h      *host
	sender string // the unique bus name of its connection
	name   string // as the host lists it
	path   dbus.ObjectPath
}

// call calls a method of one of the item's objects and stores the reply in dest.
func (i *item) call(dest []any, path dbus.ObjectPath, method string, args ...any) {
	i.h.d.t.Helper()
	reply, err := call(i.h.conn.Object(i.sender, path), method, args...)
	if err == nil {
		err = dbus.Store(reply, dest...)
	}
	if err != nil {
		i.h.d.t.Fatalf("%s: %v", method, err)
	}
}

// property stores a property of the item, whose type is in the specification, in dest.
func (i *item) property(name string, dest any) {
	i.h.d.t.Helper()
	var v dbus.Variant
	i.call([]any{&v}, i.path, "org.freedesktop.DBus.Properties.Get", itemName, name)
	if err := v.Store(dest); err != nil {
		i.h.d.t.Fatalf("%s: %v", name, err)
	}
}

// id is the name by which panels remember the item.
func (i *item) id() (id string) {
	i.h.d.t.Helper()
	i.property("Id", &id)
	return id
}

// pixmap is an icon: 4 bytes for each pixel, alpha, red, green, blue.
type pixmap struct {
	W, H int32
	Pix  []byte
}

// icon returns the icon, the first if there are several sizes.
func (i *item) icon() (w, h int, pix []byte) {
	i.h.d.t.Helper()
	var icons []pixmap
	i.property("IconPixmap", &icons)
	if len(icons) == 0 {
		return 0, 0, nil
	}
	return int(icons[0].W), int(icons[0].H), icons[0].Pix
}

// tooltip returns title and text of the tooltip, on lines of their own if there are both.
func (i *item) tooltip() string {
	i.h.d.t.Helper()
	var tip struct {
		IconName    string
		Icons       []pixmap
		Title, Text string
	}
	i.property("ToolTip", &tip)
	return strings.TrimSpace(tip.Title + "\n" + tip.Text)
}

func (i *item) menuPath() (path dbus.ObjectPath) {
	i.h.d.t.Helper()
	i.property("Menu", &path)
	return path
}

// menu reads the whole menu as a person sees it, without the invisible entries. The returned node is the menu itself and
// has no label.
func (i *item) menu() *node {
	i.h.d.t.Helper()
	return i.read(false)
}

// allNodes reads the whole menu with the invisible entries.
func (i *item) allNodes() *node {
	i.h.d.t.Helper()
	return i.read(true)
}

func (i *item) read(hidden bool) *node {
	i.h.d.t.Helper()
	path := i.menuPath()
	for again := false; ; again = true {
		var revision uint32
		var l layout
		i.call([]any{&revision, &l}, path, menuName+".GetLayout", int32(0), int32(-1), []string{})
		menu, err := newNode(l, hidden)
		if err != nil {
			i.h.d.t.Fatal(err)
		}
		// systray leaves all submenus empty when it is asked for the first time (see firstGetLayoutDone there).
		if again || !menu.stunted() {
			return menu
		}
	}
}

// waitFor reads the menu until ok holds for it, and returns that menu.
func (i *item) waitFor(what string, timeout time.Duration, ok func(menu *node) bool) *node {
	i.h.d.t.Helper()
	var menu *node
	if !poll(timeout, func() bool { menu = i.menu(); return ok(menu) }) {
		i.h.d.t.Fatalf("no %s within %v; the menu is\n%v", what, timeout, menu)
	}
	return menu
}

// click chooses a menu entry. Only what a person could choose can be clicked.
func (i *item) click(n *node) {
	i.h.d.t.Helper()
	if n == nil || n.separator || !n.enabled || !n.visible {
		i.h.d.t.Fatalf("cannot click %#v", n)
	}
	i.clickID(n.id)
}

// clickID chooses the menu entry with that id whether or not there is one, as a panel with an outdated menu does.
func (i *item) clickID(id int32) {
	i.h.d.t.Helper()
	i.event(id, "clicked")
}

// opened tells the item that the person opened its menu.
func (i *item) opened() {
	i.h.d.t.Helper()
	i.event(0, "opened")
}

// event reports to the item what the person did. The item may end without an answer, as it should after a click on Quit.
func (i *item) event(id int32, event string) {
	i.h.d.t.Helper()
	menu := i.h.conn.Object(i.sender, i.menuPath())
	_, err := call(menu, menuName+".Event", id, event, dbus.MakeVariant(int32(0)), uint32(time.Now().Unix()))
	if refusal, ok := errors.AsType[dbus.Error](err); ok && refusal.Name == "org.freedesktop.DBus.Error.NoReply" {
		return
	}
	if err != nil {
		i.h.d.t.Fatalf("%s: %v", event, err)
	}
}

// signals returns how many signals the item has sent since the host started: changes of the menu, the icon, the tooltip or
// any property.
func (i *item) signals() int {
	i.h.mu.Lock()
	defer i.h.mu.Unlock()
	return i.h.signals[i.sender]
}

// settle waits until the item has sent no signal for a while and returns signals(). It is needed before signals are
// compared, because systray sends some of its own 150 ms after the menu was first read.
func (i *item) settle() int {
	i.h.d.t.Helper()
	last, since := i.signals(), time.Now()
	if !poll(patience, func() bool {
		if n := i.signals(); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 500*time.Millisecond
	}) {
		i.h.d.t.Fatalf("the item sends signals all the time, %d up to now", last)
	}
	return last
}

// layout is a menu entry on the bus; each child is a layout.
type layout struct {
	ID       int32
	Props    map[string]dbus.Variant
	Children []dbus.Variant
}

// A node is a menu entry, or the menu itself.
type node struct {
	id              int32
	label           string // as it is shown
	enabled         bool
	visible         bool
	separator       bool
	submenu         bool // shown with an arrow, even if there are no children
	toggle, checked bool
	children        []*node
}

func newNode(l layout, hidden bool) (*node, error) {
	n := &node{
		id: l.ID,
		// A double underscore is shown as one; a single one marks the key to press and is not shown.
		label:     strings.NewReplacer("__", "_", "_", "").Replace(value(l, "label", "")),
		enabled:   value(l, "enabled", true),
		visible:   value(l, "visible", true),
		separator: value(l, "type", "") == "separator",
		submenu:   value(l, "children-display", "") == "submenu",
		toggle:    value(l, "toggle-type", "") != "",
		checked:   value(l, "toggle-state", int32(0)) == 1,
	}
	for _, v := range l.Children {
		var l layout
		if err := v.Store(&l); err != nil {
			return nil, fmt.Errorf("child of menu entry %d: %w", n.id, err)
		}
		child, err := newNode(l, hidden)
		if err != nil {
			return nil, err
		}
		if child.visible || hidden {
			n.children = append(n.children, child)
		}
	}
	return n, nil
}

// value returns a property of a menu entry, or what the protocol says it is when it was not sent.
func value[T any](l layout, name string, unsent T) T {
	if v, ok := l.Props[name].Value().(T); ok {
		return v
	}
	return unsent
}

// stunted reports whether there is a submenu with nothing in it.
func (n *node) stunted() bool {
	return n.submenu && n.id != 0 && len(n.children) == 0 || slices.ContainsFunc(n.children, (*node).stunted)
}

// find follows labels down the menu and returns the entry at the end, nil if there is none. On each level the entry with
// exactly that label is taken, else the first whose label starts with it, else the first whose label contains it.
func (n *node) find(path ...string) *node {
	for _, label := range path {
		n = n.child(label)
	}
	return n
}

func (n *node) child(label string) *node {
	if n == nil {
		return nil
	}
	exactly := func(s, label string) bool { return s == label }
	for _, match := range []func(s, label string) bool{exactly, strings.HasPrefix, strings.Contains} {
		for _, c := range n.children {
			if !c.separator && match(c.label, label) {
				return c
			}
		}
	}
	return nil
}

// String returns the menu below n as indented text: a disabled entry in parentheses, one with a submenu followed by an
// arrow.
func (n *node) String() string {
	var b strings.Builder
	n.write(&b, "")
	return b.String()
}

func (n *node) write(b *strings.Builder, indent string) {
	if n == nil {
		return
	}
	for _, c := range n.children {
		b.WriteString(indent + c.line() + "\n")
		c.write(b, indent+"    ")
	}
}

func (n *node) line() string {
	if n.separator {
		return "─────"
	}
	line := n.label
	if n.toggle {
		line = "☐ " + line
	}
	if n.checked {
		line = "☑ " + n.label
	}
	if !n.enabled {
		line = "(" + line + ")"
	}
	if n.submenu {
		line += " ▸"
	}
	if !n.visible {
		line += " [hidden]"
	}
	return line
}

const (
	notifierName = "org.freedesktop.Notifications"
	notifierPath = "/org/freedesktop/Notifications"
)

// A notifier is a notification service, see https://specifications.freedesktop.org/notification-spec/.
type notifier struct {
	d    *desktop
	conn *dbus.Conn
	mode notifierMode
	caps []string

	mu    sync.Mutex // guards notes
	notes []note
}

type notifierMode int

const (
	notifierShows notifierMode = iota // as a service should
	notifierHangs                     // never answers Notify
	notifierFails                     // answers Notify with an error
)

// A note is what the program asked the service to show.
type note struct {
	id       uint32
	replaces uint32 // the id of the note it takes the place of, or 0
	sender   string
	app      string
	summary  string
	body     string
	actions  []string // keys and labels by turns
	hints    map[string]any
	timeout  int32 // in milliseconds; -1: the service's choice, 0: never
}

func (n note) String() string { return fmt.Sprintf("%q: %q", n.summary, n.body) }

// startNotifier starts the service. There can be one at a time. It can do what caps says, by default body, body-markup and
// actions. Like dunst it sends NotificationClosed to the program that asked, and to nobody else, shortly after each note
// was shown.
func (d *desktop) startNotifier(mode notifierMode, caps ...string) *notifier {
	d.t.Helper()
	if caps == nil {
		caps = []string{"body", "body-markup", "actions"}
	}
	n := &notifier{d: d, mode: mode, caps: caps}
	n.conn = d.connect(func(*dbus.Signal) {})
	err := n.conn.ExportMethodTable(map[string]any{
		"Notify":            n.notify,
		"CloseNotification": n.closeNote,
		"GetCapabilities":   func() ([]string, *dbus.Error) { return n.caps, nil },
		"GetServerInformation": func() (name, vendor, version, spec string, err *dbus.Error) {
			return "desktop_test", "porttray", "1", "1.2", nil
		},
	}, notifierPath, notifierName)
	if err != nil {
		d.t.Fatal(err)
	}
	d.own(n.conn, notifierName)
	return n
}

// stop ends the service; its name is free when stop returns.
func (n *notifier) stop() { leave(n.conn, notifierName) }

func (n *notifier) notify(app string, replaces uint32, _, summary, body string, actions []string,
	hints map[string]dbus.Variant, timeout int32, sender dbus.Sender) (uint32, *dbus.Error) {
	got := note{replaces: replaces, sender: string(sender), app: app, summary: summary, body: body, actions: actions,
		hints: map[string]any{}, timeout: timeout}
	for key, v := range hints {
		got.hints[key] = v.Value()
	}
	n.mu.Lock()
	got.id = cmp.Or(replaces, uint32(len(n.notes)+1))
	n.notes = append(n.notes, got)
	n.mu.Unlock()
	switch n.mode {
	case notifierHangs:
		<-n.conn.Context().Done()
	case notifierFails:
		return 0, dbus.NewError(notifierName+".Error.Failed", []any{"not today"})
	default:
		// After the reply. Should the service have stopped by then, there is just nobody to send it.
		time.AfterFunc(20*time.Millisecond, func() { n.send(got, "NotificationClosed", uint32(1)) })
	}
	return got.id, nil
}

// closeNote is CloseNotification.
func (n *notifier) closeNote(id uint32) *dbus.Error {
	for _, got := range slices.Backward(n.all()) {
		if got.id == id {
			n.send(got, "NotificationClosed", uint32(3))
			return nil
		}
	}
	return dbus.NewError(notifierName+".Error.NoSuchNote", nil)
}

// invoke chooses one of the note's actions, as a click on it does.
func (n *notifier) invoke(got note, key string) { n.send(got, "ActionInvoked", key) }

// send sends a signal about a note to the connection that asked for it.
func (n *notifier) send(about note, signal string, arg any) {
	n.conn.Send(&dbus.Message{
		Type: dbus.TypeSignal,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(notifierPath)),
			dbus.FieldInterface:   dbus.MakeVariant(notifierName),
			dbus.FieldMember:      dbus.MakeVariant(signal),
			dbus.FieldDestination: dbus.MakeVariant(about.sender),
			dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(about.id, arg)),
		},
		Body: []any{about.id, arg},
	}, nil)
}

// all returns every note asked for so far, oldest first, also those the service did not answer or refused.
func (n *notifier) all() []note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.notes)
}

// waitFor waits for a note and returns the first for which ok holds.
func (n *notifier) waitFor(timeout time.Duration, ok func(note) bool) note {
	n.d.t.Helper()
	var found note
	if !poll(timeout, func() bool {
		i := slices.IndexFunc(n.all(), ok)
		if i >= 0 {
			found = n.all()[i]
		}
		return i >= 0
	}) {
		n.d.t.Fatalf("no such notification within %v, but these: %v", timeout, n.all())
	}
	return found
}

// A victim is a process of its own that listens: the test binary, which runs itself.
type victim struct {
	*process
	ports []uint16 // in the order of the addresses
}

type victimOptions struct {
	dir        string // working directory; "" is the test's
	ignoreTerm bool   // SIGTERM does not end it
	tls        bool   // HTTPS instead of HTTP
}

// startVictim returns a victim once it listens on all addresses, which are those of net.Listen: "127.0.0.1:0", ":0".
func startVictim(t testing.TB, o victimOptions, addrs ...string) *victim {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "PORTTRAY_TEST_VICTIM="+strings.Join(addrs, ","))
	if o.ignoreTerm {
		cmd.Env = append(cmd.Env, "PORTTRAY_TEST_VICTIM_IGNORE_TERM=1")
	}
	if o.tls {
		cmd.Env = append(cmd.Env, "PORTTRAY_TEST_VICTIM_TLS=1")
	}
	v := &victim{process: startProcess(t, cmd)}
	ready := func() bool { return strings.Count(v.output(), "\n") >= len(addrs) }
	if !poll(patience, func() bool { return v.exited() || ready() }) || v.exited() {
		t.Fatalf("the victim does not listen on %v:\n%s", addrs, v.output())
	}
	for line := range strings.Lines(v.output()) {
		addr, err := netip.ParseAddrPort(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("the victim does not listen on %v:\n%s", addrs, v.output())
		}
		v.ports = append(v.ports, addr.Port())
	}
	return v
}

// beVictim is the whole life of a victim. It prints a line for each listener, and returns only if it cannot listen.
func beVictim(addrs []string) error {
	if os.Getenv("PORTTRAY_TEST_VICTIM_IGNORE_TERM") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	var ready bytes.Buffer
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		// No error log: a port scanner that hangs up must not add to the lines.
		config := &http.Server{Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
		s := &httptest.Server{Listener: l, Config: config}
		if os.Getenv("PORTTRAY_TEST_VICTIM_TLS") != "" {
			s.StartTLS()
		} else {
			s.Start()
		}
		fmt.Fprintln(&ready, l.Addr())
	}
	os.Stdout.Write(ready.Bytes())
	select {}
}
