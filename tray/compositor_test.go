//go:build linux && desktop

package tray_test

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// A compositor is a Wayland session without a monitor or X server. It has a notifier, and a panel with only the tray.
type compositor struct {
	*testDesktop
	panel   *process
	pointer *pointer
	again   func() *process         // starts a new panel
	picture func() image.Image      // takes a screenshot
	notices func(title string) bool // reports whether such a title is shown, as far as known
}

const screenWidth, screenHeight = 1280, 800

// newCompositor returns a session with nothing but the bus.
func (d *testDesktop) newCompositor(name string) *compositor {
	d.t.Helper()
	if os.Geteuid() == 0 {
		lack(d.t, errors.New("sway and KWin do not run as root; .ci/sessions runs this as another user"))
	}
	c := &compositor{testDesktop: d}
	c.setenvs("DISPLAY=", "XDG_CURRENT_DESKTOP="+name, "XDG_SESSION_TYPE=wayland",
		"XDG_DATA_DIRS=/usr/local/share:/usr/share", "NO_AT_BRIDGE=1", "LIBGL_ALWAYS_SOFTWARE=1")
	return c
}

// setenvs sets several variables, each given as KEY=value.
func (c *compositor) setenvs(all ...string) {
	for _, one := range all {
		key, value, _ := strings.Cut(one, "=")
		c.setenv(key, value)
	}
}

// write writes a settings file, and makes the directory for it.
func (c *compositor) write(path, text string) {
	c.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		c.t.Fatal(err)
	}
}

// run starts a program of the session itself, outside the network of the tests. That network can be in its own user
// namespace. In there KWin could not tell which program moves the pointer, and would refuse it.
func (c *compositor) run(path string, args ...string) *process {
	c.t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Dir = c.env(), c.path("home")
	p := startProcess(c.t, cmd)
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("output of %s:\n%s", filepath.Base(path), p.output())
		}
	})
	return p
}

// display waits for the Wayland display of a program and sets it for all others.
func (c *compositor) display(server *process) {
	c.t.Helper()
	c.awaits(server, "Wayland display", func() bool {
		sockets, _ := filepath.Glob(c.path("run/wayland-?")) // the pattern is valid
		if len(sockets) == 1 {
			c.setenv("WAYLAND_DISPLAY", filepath.Base(sockets[0]))
		}
		return len(sockets) == 1
	})
}

// awaits waits until a program has done something.
func (c *compositor) awaits(p *process, what string, done func() bool) {
	c.t.Helper()
	if !poll(patience, func() bool { return p.exited() || done() }) || p.exited() {
		c.t.Fatalf("%s: no %s", filepath.Base(p.cmd.Args[0]), what)
	}
}

// named waits until a program has a name on the bus.
func (c *compositor) named(p *process, name string) {
	c.t.Helper()
	conn := c.connect(func(*dbus.Signal) {})
	defer conn.Close()
	c.awaits(p, name, func() bool {
		has, err := call(conn.BusObject(), "org.freedesktop.DBus.NameHasOwner", name)
		return err == nil && has[0] == true
	})
}

// icon waits for the icon in the panel and returns where it is.
func (c *compositor) icon() image.Point {
	c.t.Helper()
	var at image.Rectangle
	if !poll(patience, func() bool {
		var n int
		at, n = c.iconPixels()
		return n > 60
	}) {
		c.t.Fatal("the icon is not on the screen")
	}
	return at.Min.Add(at.Max).Div(2)
}

// noIcon waits until the icon is not on the screen.
func (c *compositor) noIcon() {
	c.t.Helper()
	if !poll(patience, func() bool {
		_, n := c.iconPixels()
		return n == 0
	}) {
		c.t.Error("the icon is still on the screen")
	}
}

func (c *compositor) iconPixels() (image.Rectangle, int) {
	c.t.Helper()
	return c.find(image.Rect(0, 0, screenWidth, panelHeight))
}

// find returns the place of the icon within a part of the screen, and the number of pixels in its colour.
func (c *compositor) find(part image.Rectangle) (image.Rectangle, int) {
	c.t.Helper()
	shown := c.picture()
	p := image.NewRGBA(shown.Bounds())
	draw.Draw(p, p.Rect, shown, p.Rect.Min, draw.Src)
	return findColour(p, iconColour, part)
}

// startSway starts sway, waybar and mako.
func (d *testDesktop) startSway() *compositor {
	d.t.Helper()
	sway, waybar := tool(d.t, "sway"), tool(d.t, "waybar")
	mako, grim := tool(d.t, "mako"), tool(d.t, "grim")
	c := d.newCompositor("sway")
	c.setenvs("WLR_BACKENDS=headless", "WLR_LIBINPUT_NO_DEVICES=1", "WLR_RENDERER=pixman")
	const output = "xwayland disable\noutput HEADLESS-1 resolution %dx%d position 0 0\n"
	c.write(d.path("sway"), fmt.Sprintf(output, screenWidth, screenHeight))
	const tray = `{"position": "top", "height": %d, "modules-left": ["tray"], "tray": {"icon-size": 24}}`
	c.write(d.path("waybar"), fmt.Sprintf(tray, panelHeight))
	c.write(d.path("style"), "* { border: none; }\n")
	c.write(d.path("mako"), "anchor=bottom-right\n")
	server := c.run(sway, "-c", d.path("sway"))
	c.display(server)
	c.pointer = d.virtualPointer()
	c.picture = func() image.Image {
		out, errs, _ := d.run(grim, "-l", "0", "-")
		p, err := png.Decode(strings.NewReader(out))
		if err != nil {
			d.t.Fatalf("grim: %v\n%s", err, errs)
		}
		return p
	}
	c.named(c.run(mako, "--config", d.path("mako")), notifierName)
	service := d.connect(func(*dbus.Signal) {}).Object(notifierName, "/fr/emersion/Mako")
	c.notices = func(title string) bool {
		shown, err := call(service, "fr.emersion.Mako.ListNotifications")
		return err == nil && strings.Contains(fmt.Sprint(shown...), title)
	}
	c.again = func() *process {
		p := c.run(waybar, "--config", d.path("waybar"), "--style", d.path("style"))
		c.named(p, hostName)
		return p
	}
	c.panel = c.again()
	return c
}

// startPlasma starts KDE's compositor, the daemon for tray icons, and the shell (panel and notification service).
func (d *testDesktop) startPlasma() *compositor {
	d.t.Helper()
	kwin, kded, shell := tool(d.t, "kwin_wayland"), tool(d.t, "kded5"), tool(d.t, "plasmashell")
	c := d.newCompositor("KDE")
	c.setenvs("KDE_FULL_SESSION=true", "KDE_SESSION_VERSION=5", "QT_QUICK_BACKEND=software",
		"KWIN_WAYLAND_NO_PERMISSION_CHECKS=1", "KWIN_SCREENSHOT_NO_PERMISSION_CHECKS=1")
	settings := d.vars["XDG_CONFIG_HOME"]
	c.write(filepath.Join(settings, "plasma-org.kde.plasma.desktop-appletsrc"), plasmaPanel)
	c.write(filepath.Join(settings, "plasmashellrc"),
		fmt.Sprintf("[PlasmaViews][Panel 1][Defaults]\nthickness=%d\n", panelHeight))
	// A copy has no file capabilities, unlike the installed program. Some containers cannot grant them.
	bare, err := os.ReadFile(kwin)
	if err == nil {
		err = os.WriteFile(filepath.Join(d.path("bin"), "kwin_wayland"), bare, 0o700)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	server := c.run(filepath.Join(d.path("bin"), "kwin_wayland"), "--virtual", "--width", fmt.Sprint(screenWidth),
		"--height", fmt.Sprint(screenHeight), "--socket", "wayland-0", "--no-lockscreen", "--no-global-shortcuts")
	c.display(server)
	d.setenv("QT_QPA_PLATFORM", "wayland")
	c.named(server, "org.kde.KWin")

	c.pointer = d.fakeInput()
	screen := d.connect(func(*dbus.Signal) {}).Object("org.kde.KWin", "/org/kde/KWin/ScreenShot2")
	c.picture = func() image.Image { return screenshot(c, screen) }

	activities := d.service("org.kde.ActivityManager.service")
	c.named(c.run(activities), "org.kde.ActivityManager")
	c.named(c.run(kded), hostName)
	c.notices = func(string) bool {
		_, n := c.find(image.Rect(0, 2*panelHeight, screenWidth, screenHeight))
		return n > 60
	}
	c.again = func() *process {
		p := c.run(shell, "--no-respawn")
		c.named(p, "org.kde.plasmashell")
		c.named(p, notifierName)
		return p
	}
	c.panel = c.again()
	return c
}

// service returns the program that the bus would start for a service file.
func (d *testDesktop) service(file string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join("/usr/share/dbus-1/services", file))
	if err != nil {
		lack(d.t, err)
	}
	program := regexp.MustCompile(`(?m)^Exec=(\S+)`).FindSubmatch(text)
	if program == nil {
		d.t.Fatalf("no program in\n%s", text)
	}
	return string(program[1])
}

// screenshot asks KWin for a picture of the screen.
func screenshot(c *compositor, screen dbus.BusObject) image.Image {
	c.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Close()
	reply, err := call(screen, "org.kde.KWin.ScreenShot2.CaptureArea", int32(0), int32(0),
		uint32(screenWidth), uint32(screenHeight), map[string]dbus.Variant{}, dbus.UnixFD(w.Fd()))
	w.Close()
	if err != nil {
		c.t.Fatalf("take a picture: %v", err)
	}
	about := reply[0].(map[string]dbus.Variant)
	stride := int(about["stride"].Value().(uint32))
	data := make([]byte, stride*screenHeight)
	r.SetReadDeadline(time.Now().Add(patience)) // never fails for a pipe
	if _, err := io.ReadFull(r, data); err != nil {
		c.t.Fatalf("read a picture: %v: %v", err, about)
	}
	p := image.NewRGBA(image.Rect(0, 0, screenWidth, screenHeight))
	for y := range screenHeight {
		for x := range screenWidth {
			at := data[y*stride+4*x:] // blue, green, red, alpha
			p.SetRGBA(x, y, color.RGBA{at[2], at[1], at[0], 255})
		}
	}
	return p
}

// plasmaPanel is a panel along the upper edge with nothing but the tray. The tray has one item of its own, for
// notifications: it is the notification service.
const plasmaPanel = `[Containments][1]
activityId=
formfactor=2
immutability=1
lastScreen=0
location=3
plugin=org.kde.panel
wallpaperplugin=org.kde.image

[Containments][1][Applets][2]
immutability=1
plugin=org.kde.plasma.systemtray

[Containments][1][Applets][2][Configuration]
PreloadWeight=100
SystrayContainmentId=3

[Containments][1][General]
AppletOrder=2

[Containments][3]
activityId=
formfactor=2
immutability=1
lastScreen=0
location=3
plugin=org.kde.plasma.private.systemtray
wallpaperplugin=org.kde.image

[Containments][3][General]
extraItems=org.kde.plasma.notifications
knownItems=org.kde.plasma.notifications,org.kde.plasma.battery,org.kde.plasma.clipboard,` +
	`org.kde.plasma.devicenotifier,org.kde.plasma.keyboardindicator,org.kde.plasma.keyboardlayout,` +
	`org.kde.plasma.manage-inputmethod,org.kde.plasma.mediacontroller,org.kde.plasma.nightcolorcontrol,` +
	`org.kde.plasma.vault,org.kde.plasma.volume,org.kde.plasma.networkmanagement,touchpad
`
