package tray

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"porttray/watcher/doctor"
	"porttray/watcher/owner"
)

// examineSession checks the desktop session: display, bus, tray host, notification service and clipboard.
func examineSession(ctx context.Context) []doctor.Finding {
	var s session
	bus := s.examineBus(ctx)
	if bus.State != doctor.Works {
		return []doctor.Finding{examineDisplay(os.Getenv, Remote(), false), bus}
	}
	defer s.close()
	// The tray also starts without a display if something shows its icon, see openSession.
	getenv, shown := os.Getenv, false
	if display(getenv) == "" {
		limited, cancel := context.WithTimeout(ctx, examineLimit)
		defer cancel()
		if shown = s.hasHost(limited); shown {
			getenv = withWayland(getenv, onlyWayland(getenv("XDG_RUNTIME_DIR")))
		}
	}
	return []doctor.Finding{
		examineDisplay(getenv, Remote(), shown), bus,
		s.examineHost(ctx), s.examineNotifier(ctx), examineCopying(ctx, getenv),
	}
}

// passOnDisplay is the fix for a program without a display in its environment.
const passOnDisplay = "make the session pass on its environment at its start: " +
	"systemctl --user import-environment DISPLAY WAYLAND_DISPLAY"

// withWayland returns getenv with the name of a Wayland display, unless name is empty.
func withWayland(getenv func(string) string, name string) func(string) string {
	return func(variable string) string {
		if variable == "WAYLAND_DISPLAY" && name != "" {
			return name
		}
		return getenv(variable)
	}
}

// examineDisplay returns the kind of session, as the environment describes it. It asks nobody. shown means that tray
// icons are shown although this program's own environment names no display.
func examineDisplay(getenv func(string) string, remote, shown bool) doctor.Finding {
	f := doctor.Finding{Topic: "session", Says: display(getenv)}
	desktop := owner.Printable(getenv("XDG_CURRENT_DESKTOP"), maxOther)
	kind := owner.Printable(getenv("XDG_SESSION_TYPE"), maxOther)
	switch {
	case f.Says == "" && shown && remote:
		return overSSH(f.Topic, errNoDisplay.Error())
	case f.Says == "" && shown:
		f.State, f.Says = doctor.Lacks, errNoDisplay.Error()+"; the tray works, but opened programs may not appear"
		f.Fix = passOnDisplay
		return f
	case f.Says == "":
		f.State, f.Fatal, f.Says = doctor.Broken, true, errNoDisplay.Error()
		f.Fix = "start porttray in a desktop session; porttray watch needs none"
		if remote {
			f.Says += "; this terminal runs over ssh"
			f.Fix = "start porttray on the desktop itself; here, porttray watch does the same in the terminal"
		} else if kind != "" {
			f.Says += "; the session type is " + kind
		}
		return f
	case desktop != "":
		f.Says = desktop + " on " + f.Says
	}
	if shown {
		f.Says += ", socket " + owner.Printable(getenv("WAYLAND_DISPLAY"), maxOther) + "; WAYLAND_DISPLAY is not set"
	}
	if remote {
		return overSSH(f.Topic, f.Says)
	}
	return f
}

// examineBus connects to the session bus. If the finding is doctor.Works, s is connected.
func (s *session) examineBus(ctx context.Context) doctor.Finding {
	f := doctor.Finding{Topic: "session bus", Says: "answers"}
	limited, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	err := s.connect(limited, hello)
	switch {
	case err == nil:
		return f
	case ctx.Err() != nil:
		return doctor.Unfinished(ctx, f.Topic, examineLimit)
	}
	f.State, f.Fatal, f.Says = doctor.Broken, true, inWords(err)
	f.Fix = "start porttray in the desktop session, because that sets DBUS_SESSION_BUS_ADDRESS; " +
		"dbus-run-session starts a window manager with a bus"
	if os.Getenv("SUDO_USER") != "" {
		f.Fix = "start porttray without sudo: the bus belongs to the other user, and the tray needs no root"
	}
	return f
}

// examineHost returns the finding about the tray host.
func (s *session) examineHost(ctx context.Context) doctor.Finding {
	f := doctor.Finding{Topic: "tray host"}
	limited, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	h, err := s.host(limited)
	if ctx.Err() != nil {
		return doctor.Unfinished(ctx, f.Topic, examineLimit)
	}
	desktop := os.Getenv("XDG_CURRENT_DESKTOP")
	switch {
	case err != nil:
		f.State, f.Fatal = doctor.Broken, true
		f.Says = "the session bus does not say what shows tray icons: " + inWords(err)
		f.Fix = "log in again: a session without its bus has no tray"
	case h.by == "" && s.activatable(ctx, watcherName):
		f.State, f.Says = doctor.Lacks, "nothing shows tray icons now; the session bus may start something for them"
		f.Fix = "start porttray tray and see whether its icon appears; if not: " + hostFix(desktop)
	case h.by == "":
		f.State, f.Fatal, f.Says = doctor.Broken, true, "nothing shows tray icons here (nobody owns "+watcherName+")"
		f.Fix = hostFix(desktop)
	case h.registeredErr != nil:
		f.State = doctor.Lacks
		f.Says = s.who(ctx, h.by) + " has the list of tray icons, " +
			"but does not say whether a panel shows them: " + inWords(h.registeredErr)
		f.Fix = "restart the panel if the icon does not appear"
	case !h.registered:
		f.State, f.Fatal = doctor.Broken, true
		f.Says = s.who(ctx, h.by) + " has the list of tray icons, but no panel shows them"
		f.Fix = hostFix(desktop)
	case s.sameProcess(limited, h.by, indicatorName):
		return s.examineIndicators(limited, s.who(ctx, h.by))
	default:
		f.Says = s.who(ctx, h.by) + " shows tray icons; a " + menuButton(desktop) + " click opens the menu"
	}
	return f
}

// menuButton returns the mouse button that opens the menu. The panels of MATE and LXQt always call Activate for a left
// click, and do nothing when the icon refuses it.
func menuButton(desktop string) string {
	for name := range strings.SplitSeq(desktop, ":") {
		if strings.EqualFold(name, "MATE") || strings.EqualFold(name, "LXQt") {
			return "right"
		}
	}
	return "left"
}

// hostFix returns the fix for a desktop that shows no tray icons.
func hostFix(desktop string) string {
	const itself = "Then the icon appears by itself"
	switch {
	case isGNOME(desktop):
		return "install the AppIndicator extension (gnome-shell-extension-appindicator on Debian and Ubuntu), " +
			"log in again and enable it under Extensions. " + itself
	case slices.Contains(strings.Split(desktop, ":"), "Budgie"):
		return "Budgie 10.8 or newer: add the System Tray to the panel; " +
			"older: install budgie-indicator-applet (its name on Debian and Ubuntu), " +
			"log in again and add the AppIndicator Applet to the panel. " + itself
	}
	return "add the system tray or status notifier to your panel. " +
		"Some panels know only the older XEmbed icons: i3bar, polybar, tint2, trayer, stalonetray. " +
		"In addition to one of those, run a panel that knows both, such as xfce4-panel or lxqt-panel, " +
		"or run snixembed (not in Debian 12). " + itself
}

// indicatorName is the name of Ayatana's indicator service. It keeps the list of tray icons for the indicator applets
// of panels.
const indicatorName = "org.ayatana.indicator.application"

// examineIndicators reports whether an indicator applet shows the icons on the list of Ayatana's service. The service
// always claims so. An applet asks the bus for the signals of the service, so its match rules reveal it.
func (s *session) examineIndicators(ctx context.Context, service string) doctor.Finding {
	f := doctor.Finding{Topic: "tray host", State: doctor.Lacks, Fix: "add an indicator applet to the panel: " +
		"budgie-indicator-applet, mate-indicator-applet or xfce4-indicator-plugin " +
		"(their names on Debian and Ubuntu). Then the icon appears by itself"}
	var rules map[string][]string
	err := s.conn.BusObject().CallWithContext(ctx, busName+".Debug.Stats.GetAllMatchRules", 0).Store(&rules)
	if err != nil {
		f.Says = service + " has the list of tray icons; this bus does not say whether an indicator applet shows them"
		return f
	}
	for by, list := range rules {
		if strings.Contains(strings.Join(list, "\n"), "interface='"+indicatorName+".service'") {
			says := service + " has the list of tray icons, and " + s.who(ctx, by) + " shows them"
			return doctor.Finding{Topic: f.Topic, Says: says}
		}
	}
	f.State, f.Fatal = doctor.Broken, true
	f.Says = service + " has the list of tray icons, but no indicator applet shows them"
	return f
}

// sameProcess reports whether a unique bus name and a well-known one belong to the same process.
func (s *session) sameProcess(ctx context.Context, unique, name string) bool {
	by, err := s.ownerOf(ctx, name)
	if err != nil || by == "" {
		return false
	}
	pid := s.pidOf(ctx, unique)
	return pid != 0 && pid == s.pidOf(ctx, by)
}

// pidOf returns the process ID of a unique bus name, or 0 if the bus does not know it.
func (s *session) pidOf(ctx context.Context, unique string) int32 {
	var pid uint32
	err := s.conn.BusObject().CallWithContext(ctx, busName+".GetConnectionUnixProcessID", 0, unique).Store(&pid)
	if err != nil || pid > math.MaxInt32 {
		return 0
	}
	return int32(pid)
}

// examineNotifier returns the finding about the notification service and its abilities.
func (s *session) examineNotifier(ctx context.Context) doctor.Finding {
	f := doctor.Finding{Topic: "notifications"}
	limited, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	by, err := s.ownerOf(limited, notifierName)
	switch {
	case ctx.Err() != nil:
		return doctor.Unfinished(ctx, f.Topic, examineLimit)
	case err != nil:
		f.State, f.Says = doctor.Broken, "the session bus does not say what shows notifications: "+inWords(err)
		f.Fix = "log in again: a session without its bus has no notifications"
		return f
	case by == "" && s.activatable(ctx, notifierName):
		f.Says = "the session bus starts a service at the first notification; until then its abilities are unknown"
		return f
	case by == "":
		f.State, f.Says = doctor.Broken, "nothing shows notifications here (nobody owns "+notifierName+")"
		f.Fix = "install a notification service, such as dunst or xfce4-notifyd, and log in again"
		return f
	}
	var name, vendor, version, spec string
	var capabilities []string
	service := s.conn.Object(by, notifierPath)
	info := service.CallWithContext(limited, notifierName+".GetServerInformation", dbus.FlagNoAutoStart)
	_ = info.Store(&name, &vendor, &version, &spec) // the name is optional
	err = service.CallWithContext(limited, notifierName+".GetCapabilities", dbus.FlagNoAutoStart).Store(&capabilities)
	if ctx.Err() != nil {
		return doctor.Unfinished(ctx, f.Topic, examineLimit)
	}
	f.Says = fmt.Sprintf("%s, run by %s", serviceName(name, vendor, version), s.who(ctx, by))
	if err != nil {
		f.State, f.Says = doctor.Broken, f.Says+", does not say what it can do: "+inWords(err)
		f.Fix = "restart it, or install another one, such as dunst"
		return f
	}
	return withAbilities(f, capabilities)
}

// serviceName returns the name of a notification service. Its arguments are untrusted text of that service.
func serviceName(name, vendor, version string) string {
	text := cmp.Or(owner.Printable(name, maxOther), "a service without a name")
	if version = owner.Printable(version, maxOther); version != "" {
		text += " " + version
	}
	if vendor = owner.Printable(vendor, maxOther); vendor != "" {
		text += " (" + vendor + ")"
	}
	return text
}

// withAbilities adds to f the abilities of a notification service for porttray. The capabilities are untrusted text.
func withAbilities(f doctor.Finding, capabilities []string) doctor.Finding {
	lacks := func(says string) {
		f.State, f.Says = doctor.Lacks, f.Says+says
		f.Fix = "use the menu for that, or install a notification service that can do more, such as dunst"
	}
	if slices.Contains(capabilities, "actions") {
		f.Says += ": a click on a notification opens the server"
	} else {
		lacks(": a click on a notification opens nothing")
	}
	if !slices.Contains(capabilities, "body") {
		lacks("; it shows only titles, not the reason why a server stopped")
	}
	list := slices.Sorted(slices.Values(capabilities))
	f.Says += "; it knows " + cmp.Or(owner.Printable(strings.Join(list, ", "), maxFound), "nothing more")
	return f
}

// activatable reports whether the bus would start an owner for a name at the first call. It starts none.
func (s *session) activatable(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	var names []string
	err := s.conn.BusObject().CallWithContext(ctx, busName+".ListActivatableNames", 0).Store(&names)
	return err == nil && slices.Contains(names, name)
}

// who returns the process name and PID of a unique bus name, as far as the bus and the system know them.
func (s *session) who(ctx context.Context, unique string) string {
	ctx, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	pid := s.pidOf(ctx, unique)
	if pid == 0 {
		return "an unknown process"
	}
	name, _ := doctor.Within(ctx, examineLimit, func(ctx context.Context) string {
		p, _ := owner.Read(ctx, pid) // no name if it has ended or is hidden from us
		return owner.Printable(p.Name, maxOther)
	})
	if name == "" {
		return fmt.Sprintf("PID %d", pid)
	}
	return fmt.Sprintf("%s (PID %d)", name, pid)
}

// inWords returns an error of the bus in a form fit to show. It can be another program's text.
func inWords(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + examineLimit.String()
	}
	return owner.Printable(err.Error(), maxFound)
}
