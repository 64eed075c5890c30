//go:build linux

package tray_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"porttray/tray"
	"porttray/watcher/doctor"
	"porttray/watcher/owner"
)

// These tests call tray.Examine in the test process. They check its findings, and that it changes nothing.

// enter gives the test process the environment of the session. Such a test cannot run in parallel.
func (d *testDesktop) enter(t *testing.T) {
	t.Helper()
	for _, name := range []string{"WAYLAND_DISPLAY", "XDG_SESSION_TYPE", "SSH_CONNECTION", "SSH_TTY", "SUDO_USER",
		"DISPLAY", "DBUS_SESSION_BUS_ADDRESS"} {
		t.Setenv(name, d.vars[name])
	}
	for name, value := range d.vars {
		t.Setenv(name, value)
	}
}

// examine calls tray.Examine and checks the rules for all findings.
func examine(t *testing.T, ctx context.Context) []doctor.Finding {
	t.Helper()
	all := tray.Examine(ctx)
	for _, f := range all {
		if f.Topic == "" || f.Says == "" || (f.State == doctor.Works) != (f.Fix == "") ||
			f.Fatal && f.State != doctor.Broken {
			t.Errorf("%+v is no good finding", f)
		}
		for _, text := range []string{f.Topic, f.Says, f.Fix} {
			if text != owner.Printable(text, 0) || len([]rune(text)) > 700 {
				t.Errorf("%s has a text that is not fit to show: %q", f.Topic, text)
			}
		}
	}
	return all
}

// lines formats findings for comparison with the texts below.
func lines(all []doctor.Finding) string {
	var b strings.Builder
	for _, f := range all {
		fmt.Fprintf(&b, "%s %v: %s", f.Topic, f.State, f.Says)
		if f.Fix != "" {
			fmt.Fprintf(&b, " → %s", f.Fix)
		}
		if f.Fatal {
			b.WriteString(" (fatal)")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// serve plays a service with these methods. It returns the service's connection.
func (d *testDesktop) serve(name, iface string, path dbus.ObjectPath, methods map[string]any) *dbus.Conn {
	d.t.Helper()
	conn := d.connect(func(*dbus.Signal) {})
	if err := conn.ExportMethodTable(methods, path, iface); err != nil {
		d.t.Fatal(err)
	}
	d.own(conn, name)
	return conn
}

// notes plays a notification service with these capabilities and this information.
func (d *testDesktop) notes(capabilities []string, info ...string) {
	d.serve(notifierName, notifierName, notifierPath, map[string]any{
		"GetCapabilities": func() ([]string, *dbus.Error) { return capabilities, nil },
		"GetServerInformation": func() (string, string, string, string, *dbus.Error) {
			return info[0], info[1], info[2], info[3], nil
		},
	})
}

// indicatorName is the name of Ayatana's indicator service.
const indicatorName = "org.ayatana.indicator.application"

// startCompositor plays a Wayland display with data-control under that name.
func (d *testDesktop) startCompositor(name string) {
	d.t.Helper()
	socket, err := net.Listen("unix", d.path("run/"+name))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { socket.Close() })
	go func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := io.ReadFull(conn, make([]byte, 24)); err != nil { // get_registry and sync
					return
				}
				conn.Write(append(waylandGlobal(1, "wl_compositor"),
					waylandGlobal(2, "zwlr_data_control_manager_v1")...))
				conn.Write(waylandEvent(3, 0, 0))
				conn.Read(make([]byte, 1))
			}()
		}
	}()
}

// waylandGlobal returns a registry event (object 2) that announces an interface.
func waylandGlobal(number uint32, name string) []byte {
	length := len(name) + 1
	words := append([]byte(name), make([]byte, 4-len(name)%4)...)
	body := binary.NativeEndian.AppendUint32(nil, number)
	body = binary.NativeEndian.AppendUint32(body, uint32(length))
	body = binary.NativeEndian.AppendUint32(append(body, words...), 1)
	head := binary.NativeEndian.AppendUint32(nil, 2)
	return append(binary.NativeEndian.AppendUint32(head, uint32(8+len(body))<<16), body...)
}

// waylandEvent returns an event with one number as its argument.
func waylandEvent(object uint32, event uint16, number uint32) []byte {
	head := binary.NativeEndian.AppendUint32(nil, object)
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(head, 12<<16|uint32(event)), number)
}

// These texts are common to the sessions below.
const (
	appletFix = "add an indicator applet to the panel: budgie-indicator-applet, mate-indicator-applet or " +
		"xfce4-indicator-plugin (their names on Debian and Ubuntu). " +
		"Then the icon appears by itself"
	choicesFound = "choices works: your menu choices are saved in ~/.local/state/porttray/state.toml " +
		"(no such file yet)\n"
	xfce   = "session works: XFCE on X11\nsession bus works: answers\n"
	noHost = "tray host broken: nothing shows tray icons here (nobody owns " +
		"org.kde.StatusNotifierWatcher) → " + panelFix + " (fatal)\n"
	panelFix = "add the system tray or status notifier to your panel. Some panels know only the older XEmbed " +
		"icons: i3bar, polybar, tint2, trayer, stalonetray. " +
		"In addition to one of those, run a panel that knows both, such as xfce4-panel or lxqt-panel, " +
		"or run snixembed (not in Debian 12). " +
		"Then the icon appears by itself"
	noNotifier = "notifications broken: nothing shows notifications here (nobody owns " +
		"org.freedesktop.Notifications)" +
		" → install a notification service, such as dunst or xfce4-notifyd, and log in again\n"
	startHere = " → start porttray in the desktop session, because that sets DBUS_SESSION_BUS_ADDRESS; " +
		"dbus-run-session starts a window manager with a bus (fatal)\n"
	noX = "copying lacks: nothing can be copied: the X server does not answer: nothing listens for display :97 " +
		"→ start porttray in the desktop session\n"
	noCopies = "copying lacks: nothing can be copied: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is " +
		"set)" + passOn
	passOn = " → make the session pass on its environment at its start: systemctl --user import-environment " +
		"DISPLAY WAYLAND_DISPLAY\n"
	lessIsFix = " → use the menu for that, or install a notification service that can do more, such as dunst\n"
)

func TestExamine(t *testing.T) {
	const bus = "DBUS_SESSION_BUS_ADDRESS"
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	me := fmt.Sprintf("%s (PID %d)", strings.TrimSpace(string(comm)), os.Getpid())
	host := "tray host works: " + me + " shows tray icons; a left click opens the menu\n"
	tests := []struct {
		name  string
		begin func(*testDesktop)
		want  string
	}{
		{"no display", func(d *testDesktop) { d.setenv("DISPLAY", "") },
			"session broken: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)" +
				" → start porttray in a desktop session; porttray watch needs none (fatal)\n" +
				"session bus works: answers\n" + noHost + noNotifier + noCopies},
		{"no display, but a tray", func(d *testDesktop) { d.setenv("DISPLAY", ""); d.startHost() },
			"session lacks: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); the tray works, but " +
				"opened programs may not appear" + passOn +
				"session bus works: answers\n" + host + noNotifier + noCopies},
		{"no display in the environment",
			func(d *testDesktop) { d.setenv("DISPLAY", ""); d.startHost(); d.startCompositor("wayland-1") },
			"session works: XFCE on Wayland, socket wayland-1; WAYLAND_DISPLAY is not set\nsession " +
				"bus works: answers\n" + host + noNotifier +
				"copying works: by Wayland (data-control); copied text is lost when porttray ends, unless a " +
				"clipboard manager keeps it\n"},
		{"no bus at the address", func(d *testDesktop) { d.setenv(bus, "unix:path="+d.path("none")) },
			"session works: XFCE on X11\n" +
				"session bus broken: there is no session bus (DBUS_SESSION_BUS_ADDRESS does not lead to one)" +
				startHere},
		{"no address", func(d *testDesktop) { d.setenv(bus, "") },
			"session works: XFCE on X11\n" +
				"session bus broken: there is no session bus (DBUS_SESSION_BUS_ADDRESS does not lead to one)" +
				startHere},
		{"a bus on demand, by sudo",
			func(d *testDesktop) { d.setenv(bus, "autolaunch:"); d.setenv("SUDO_USER", "ann") },
			"session works: XFCE on X11\n" +
				"session bus broken: there is no session bus (DBUS_SESSION_BUS_ADDRESS does not lead to one)" +
				" → start porttray without sudo: the bus belongs to the other user, " +
				"and the tray needs no root (fatal)\n"},
		{"a silent bus", func(d *testDesktop) {
			silent, err := net.Listen("unix", d.path("silent"))
			if err != nil {
				d.t.Fatal(err)
			}
			d.t.Cleanup(func() { silent.Close() })
			d.setenv(bus, "unix:path="+d.path("silent"))
		}, "session works: XFCE on X11\nsession bus broken: no answer within 2s" + startHere},
		{"an empty session", func(*testDesktop) {}, xfce + noHost + noNotifier},
		{"an empty session of GNOME", func(d *testDesktop) { d.setenv("XDG_CURRENT_DESKTOP", "ubuntu:GNOME") },
			"session works: ubuntu:GNOME on X11\nsession bus works: answers\n" +
				"tray host broken: nothing shows tray icons here (nobody owns org.kde.StatusNotifierWatcher) " +
				"→ install the AppIndicator extension " +
				"(gnome-shell-extension-appindicator on Debian and Ubuntu), log in again and enable it under " +
				"Extensions. Then the icon appears by itself (fatal)\n" + noNotifier},
		{"a tray", func(d *testDesktop) { d.startHost() }, xfce + host + noNotifier},
		{"over ssh", func(d *testDesktop) { d.startHost(); d.setenv("SSH_TTY", "/dev/pts/1") },
			"session lacks: XFCE on X11, but this terminal runs over ssh: without a command, porttray then watches in the terminal" +
				" → start porttray on the desktop itself; porttray tray starts the tray from here\n" +
				"session bus works: answers\n" + host + noNotifier},
		{"a list of icons for indicator applets, and none", func(d *testDesktop) {
			d.startHost()
			d.serve(indicatorName, indicatorName+".service", "/org/ayatana/indicator/application/service", nil)
		}, xfce + "tray host broken: " + me + " has the list of tray icons, but no indicator applet shows them → " +
			appletFix + " (fatal)\n" + noNotifier},
		{"a list of icons for an indicator applet", func(d *testDesktop) {
			d.startHost()
			d.serve(indicatorName, indicatorName+".service", "/org/ayatana/indicator/application/service", nil)
			applet := d.connect(func(*dbus.Signal) {})
			if err := applet.AddMatchSignal(dbus.WithMatchSender(indicatorName),
				dbus.WithMatchInterface(indicatorName+".service")); err != nil {
				d.t.Fatal(err)
			}
		}, xfce + "tray host works: " + me + " has the list of tray icons, and " + me + " shows them\n" + noNotifier},
		{"a list of icons, and no panel", func(d *testDesktop) {
			d.startHost().props.SetMust(hostName, "IsStatusNotifierHostRegistered", false)
		}, xfce + "tray host broken: " + me + " has the list of tray icons, but no panel shows them" +
			noHost[strings.Index(noHost, " → "):] + noNotifier},
		{"a tray that does not know whether it is one", func(d *testDesktop) {
			d.serve(hostName, hostName, hostPath, nil)
		}, xfce + "tray host lacks: " + me +
			" has the list of tray icons, but does not say whether a panel shows them: " +
			"Object does not implement the interface 'org.freedesktop.DBus.Properties' → restart the panel if the " +
			"icon does not appear\n" + noNotifier},
		{"a tray that says something else", func(d *testDesktop) {
			d.serve(hostName, "org.freedesktop.DBus.Properties", hostPath, map[string]any{
				"Get": func(_, _ string) (dbus.Variant, *dbus.Error) { return dbus.MakeVariant("\x1b[2J"), nil },
			})
		}, xfce + "tray host lacks: " + me +
			" has the list of tray icons, but does not say whether a panel shows them: " +
			"the answer is not a boolean → restart the panel if the icon does not appear\n" + noNotifier},
		{"a tray that hangs", func(d *testDesktop) {
			ended := make(chan struct{})
			d.t.Cleanup(func() { close(ended) })
			d.serve(hostName, "org.freedesktop.DBus.Properties", hostPath, map[string]any{
				"Get": func(_, _ string) (dbus.Variant, *dbus.Error) { <-ended; return dbus.MakeVariant(true), nil },
			})
		}, xfce + "tray host lacks: " + me +
			" has the list of tray icons, but does not say whether a panel shows them: " +
			"no answer within 2s → restart the panel if the icon does not appear\n" + noNotifier},
		{"all", func(d *testDesktop) { d.startHost(); d.startNotifier(notifierShows) }, xfce + host +
			"notifications works: desktop_test 1 (porttray), run by " + me +
			": a click on a notification opens the server; it knows actions, body, body-markup\n"},
		{"notifications without actions", func(d *testDesktop) {
			d.startHost()
			d.startNotifier(notifierShows, "body", "x-other")
		}, xfce + host +
			"notifications lacks: desktop_test 1 (porttray), run by " + me +
			": a click on a notification opens nothing; it knows body, x-other" + lessIsFix},
		{"titles only", func(d *testDesktop) { d.startHost(); d.notes(nil, "", "", "", "") }, xfce + host +
			"notifications lacks: a service without a name, run by " + me +
			": a click on a notification opens nothing; it shows only titles, not the reason why a server stopped; " +
			"it knows nothing more" + lessIsFix},
		{"hostile notifications", func(d *testDesktop) {
			d.startHost()
			d.notes([]string{"actions", "body", "\x1b]0;pwned\a", "b\nc", "\u202egnp.exe"},
				"\x1b[2Jdunst\r\nroot", strings.Repeat("W", 1<<20), "\u202e1.9\t\t2", "\n")
		}, xfce + host + "notifications works: [2Jdunst root 1.9 2 (" + strings.Repeat("W", 59) + "…), run by " + me +
			": a click on a notification opens the server; it knows ]0;pwned , actions, b c, body, gnp.exe\n"},
		{"very many capabilities", func(d *testDesktop) {
			d.startHost()
			d.notes(slices.Repeat([]string{"actions", "body"}, 10_000), "a", "b", "c", "d")
		}, xfce + host + "notifications works: a c (b), run by " + me +
			": a click on a notification opens the server; it knows " +
			strings.Repeat("actions, ", 33) + "ac…\n"},
		{"notifications that hang", func(d *testDesktop) {
			d.startHost()
			ended := make(chan struct{})
			d.t.Cleanup(func() { close(ended) })
			d.serve(notifierName, notifierName, notifierPath, map[string]any{
				"GetCapabilities": func() ([]string, *dbus.Error) { <-ended; return nil, nil },
				"GetServerInformation": func() (a, b, c, d string, err *dbus.Error) {
					<-ended
					return "", "", "", "", nil
				},
			})
		}, xfce + host + "notifications broken: a service without a name, run by " + me +
			", does not say what it can do: no answer within 2s → restart it, or install another one, such as dunst\n"},
		{"notifications that refuse", func(d *testDesktop) {
			d.startHost()
			d.serve(notifierName, notifierName, notifierPath, map[string]any{
				"GetCapabilities": func() ([]string, *dbus.Error) {
					return nil, dbus.NewError("a.b", []any{"not\x1b[1m today"})
				},
				"GetServerInformation": func() (int32, *dbus.Error) { return 7, nil },
			})
		}, xfce + host + "notifications broken: a service without a name, run by " + me +
			", does not say what it can do: not [1m today → restart it, or install another one, such as dunst\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := newDesktop(t)
			test.begin(d)
			if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Geteuid())); err == nil &&
				!strings.HasPrefix(d.vars[bus], "unix:") {
				t.Skip("without an address the bus of this very session is found")
			}
			d.shim("dbus-launch", "touch "+d.path("launched")+"; exit 1")
			d.enter(t)
			before, begin := d.connections(), time.Now()
			got := lines(examine(t, t.Context()))
			took := time.Since(begin)
			want := test.want + choicesFound
			if strings.Contains(want, "session bus works") && !strings.Contains(want, "copying") {
				want = test.want + noX + choicesFound
			}
			if got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if !poll(patience, func() bool { return slices.Equal(d.connections(), before) }) {
				t.Errorf("the bus has the connections %q, had %q", d.connections(), before)
			}
			if _, err := os.Stat(d.path("launched")); err == nil {
				t.Error("a bus was started")
			}
			if left, err := filepath.Glob(d.path("home/.[^.]*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		})
	}
}

// connections returns the unique names on the bus, except its own.
func (d *testDesktop) connections() []string {
	d.t.Helper()
	conn, err := dbus.Connect("unix:path=" + d.path("bus"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close()
	reply, err := call(conn.BusObject(), "org.freedesktop.DBus.ListNames")
	if err != nil {
		d.t.Fatal(err)
	}
	names := slices.DeleteFunc(slices.Clone(reply[0].([]string)),
		func(name string) bool { return name == conn.Names()[0] || !strings.HasPrefix(name, ":") })
	slices.Sort(names)
	return names
}

// The bus could start services for icons and notifications. Examine does not start them; the first real call does.
func TestExamineStartsNothing(t *testing.T) {
	d := newDesktop(t)
	for _, name := range []string{hostName, notifierName} {
		script := d.path("bin/" + name)
		d.shim(name, "touch '"+script+".started'; exit 1")
		service := fmt.Sprintf("[D-BUS Service]\nName=%s\nExec=%s\n", name, script)
		if err := os.WriteFile(d.path("services/"+name+".service"), []byte(service), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conn := d.connect(func(*dbus.Signal) {})
	if _, err := call(conn.BusObject(), "org.freedesktop.DBus.ReloadConfig"); err != nil {
		t.Fatal(err)
	}
	started := func() []string {
		paths, err := filepath.Glob(d.path("bin/*.started"))
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	d.enter(t)
	want := xfce + "tray host lacks: nothing shows tray icons now; the session bus may start something for them" +
		" → start porttray tray and see whether its icon appears; if not: " + panelFix + "\n" +
		"notifications works: the session bus starts a service at the first notification; " +
		"until then its abilities are unknown\n" + noX + choicesFound
	for range 3 {
		if got := lines(examine(t, t.Context())); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	if !stays(300*time.Millisecond, func() bool { return len(started()) == 0 }) {
		t.Errorf("started: %q", started())
	}
	// A real call starts both, so the test would notice.
	for _, name := range []string{hostName, notifierName} {
		if _, err := call(conn.Object(name, "/"), "org.freedesktop.DBus.Peer.Ping"); err == nil {
			t.Errorf("%s answers", name)
		}
	}
	if got := started(); len(got) != 2 {
		t.Errorf("a call has started %q", got)
	}
}

// Examine shows and sends nothing: no icon, no notification.
func TestExamineShowsNothing(t *testing.T) {
	d := newDesktop(t)
	h, n := d.startHost(), d.startNotifier(notifierShows)
	d.enter(t)
	examine(t, t.Context())
	if h.registrations() > 0 || len(n.all()) > 0 {
		t.Errorf("%d icons, the notifications %v", h.registrations(), n.all())
	}
}

// Examine ends soon after the caller gives up.
func TestExamineEnds(t *testing.T) {
	d := newDesktop(t)
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	d.serve(hostName, "org.freedesktop.DBus.Properties", hostPath, map[string]any{
		"Get": func(_, _ string) (dbus.Variant, *dbus.Error) { <-ended; return dbus.MakeVariant(true), nil },
	})
	d.enter(t)
	const broken = "the check was interrupted"
	for _, after := range []time.Duration{0, 100 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		begin := time.Now()
		all := examine(t, ctx)
		took := time.Since(begin)
		cancel()
		if took > after+time.Second {
			t.Errorf("it took %v, though nobody asked after %v", took, after)
		}
		if !slices.ContainsFunc(all, func(f doctor.Finding) bool { return f.Says == broken }) ||
			slices.ContainsFunc(all, func(f doctor.Finding) bool { return f.Fatal }) {
			t.Errorf("after %v:\n%s", after, lines(all))
		}
	}
}
