package owner

import (
	"path"
	"regexp"
	"strconv"
	"strings"
)

// unitOf returns the systemd unit that /proc/PID/cgroup (cgroups(7)) puts a process in, or none.
func unitOf(cgroups []byte) Manager {
	var unified, systemd string
	for line := range strings.Lines(string(cgroups)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // a path may hold colons
		switch {
		case len(fields) < 3:
		case fields[1] == "name=systemd":
			systemd = fields[2]
		case fields[0] == "0" && fields[1] == "":
			unified = fields[2]
		}
	}
	if systemd != "" { // its own hierarchy, beside those of version 1: the unified one may then be left empty
		return unitIn(systemd)
	}
	return unitIn(unified)
}

var userManager = regexp.MustCompile(`^user@[0-9]+\.service$`)

// unitIn returns the service that a process in this cgroup belongs to. From the root down, such a path has slices, then perhaps the
// user manager with slices of its own, then the service, then groups that the service made for itself. In any other path the
// service is that of another systemd, inside a container or virtual machine, or there is none: scopes (a session, a terminal's
// tab, a container) hold what others have started, and nothing starts it again.
func unitIn(cgroup string) Manager {
	m := Manager{System: true}
	for element := range strings.SplitSeq(strings.Trim(cgroup, "/"), "/") {
		unit := strings.TrimPrefix(element, "_") // which systemd puts before a name that the kernel could mistake for its own
		switch kind := path.Ext(unit); {
		case m.Name == "" && kind == ".slice":
		case m.Name == "" && m.System && userManager.MatchString(unit):
			m.System = false
		case m.Name == "" && kind == ".service":
			m.Name = unescapeUnit(unit)
		case m.Name == "", kind == ".slice", kind == ".service", kind == ".scope":
			return Manager{}
		}
	}
	if m.Name == "" || launches(m) {
		return Manager{}
	}
	return m
}

var unitEscape = regexp.MustCompile(`\\x[0-9a-f]{2}`)

// unescapeUnit puts back the characters that systemd writes as \x2d in the name of a unit (systemd-escape(1)).
func unescapeUnit(unit string) string {
	return unitEscape.ReplaceAllStringFunc(unit, func(escape string) string {
		c, _ := strconv.ParseUint(escape[2:], 16, 8) // the pattern allows nothing else
		return string([]byte{byte(c)})
	})
}

// launchingServices are services that run programs which people or other programs asked for, in their own cgroup. That systemd would
// start the launcher again says nothing about those. Instances of a template go by its name.
var launchingServices = map[string]bool{
	// They run a job when its time has come, and at boot.
	"cron": true, "crond": true, "cronie": true, "fcron": true, "anacron": true, "atd": true, "rc-local": true,
	// They log people in, who stay in there where no session manager moves them to a session's scope.
	"ssh": true, "sshd": true, "dropbear": true, "getty": true, "serial-getty": true, "console-getty": true, "container-getty": true,
	"display-manager": true, "gdm": true, "gdm3": true, "sddm": true, "lightdm": true, "greetd": true,
	"xrdp": true, "xrdp-sesman": true, "vncserver": true, "tigervncserver": true,
	// They start programs that somebody wants to talk to or opens.
	"dbus": true, "dbus-daemon": true, "dbus-broker": true, "at-spi-dbus-bus": true, "org.gnome.Shell": true, "plasma-plasmashell": true,
	// Shells run in them: terminals, editors.
	"gnome-terminal-server": true, "tmux": true, "screen": true, "emacs": true, "ttyd": true, "code-server": true, "openvscode-server": true,
	// What runs in their cgroup, or in one below it, runs for a container, which has its own rules for starting again.
	"docker": true, "containerd": true, "podman": true, "crio": true, "k3s": true, "kubelet": true, "snap.docker.dockerd": true,
}

// Services that systemd makes up for one program, and forgets when it ends: for systemd-run(1); for a program on the D-Bus that
// something wanted to talk to, or that a desktop started for this user (systemd.io/DESKTOP_ENVIRONMENTS).
var (
	transient = regexp.MustCompile(`^run-(u[0-9]+|r[0-9a-f]{32}|p[0-9]+-i[0-9]+)\.service$`)
	onDemand  = regexp.MustCompile(`^(dbus-:.*|app-.*@.*)\.service$`)
)

// launches reports whether m starts programs without being there for them.
func launches(m Manager) bool {
	name, _, _ := strings.Cut(strings.TrimSuffix(m.Name, ".service"), "@")
	return launchingServices[name] || transient.MatchString(m.Name) || !m.System && onDemand.MatchString(m.Name)
}

// jobLabel returns the label of the launchd job that runs as this process, or nothing. Jobs is what "launchctl list" prints: a
// heading, then the PID or a dash, the last exit status and the label of each job (launchctl(1)), between tabs.
func jobLabel(jobs []byte, pid int32) string {
	for line := range strings.Lines(string(jobs)) {
		fields := strings.SplitN(strings.TrimRight(line, "\r\n"), "\t", 3)
		if len(fields) < 3 || fields[0] != strconv.Itoa(int(pid)) {
			continue
		}
		label := strings.TrimSpace(fields[2])
		if openedJob.MatchString(label) {
			return ""
		}
		return shortName(label)
	}
	return ""
}

// openedJob matches the labels that macOS makes up for a program which somebody opened, or which started itself: launchd knows it, but
// does not start it again.
var openedJob = regexp.MustCompile(`^(application\.|\[0x|0x[0-9a-f]+\.|com\.apple\.xpc\.launchd\.(oneshot|unmanaged)\.)`)

// A service is one of the running Windows services.
type service struct {
	name string
	pid  uint32
	user bool // it runs for one person who is logged in
}

// serviceOf returns the service that runs in this process, or none if there are several, of which nobody can tell whose a
// listener is.
func serviceOf(services []service, pid int32) Manager {
	var m Manager
	for _, s := range services {
		if pid <= 0 || s.pid != uint32(pid) {
			continue
		}
		if m.Name != "" {
			return Manager{}
		}
		m = Manager{Name: shortName(s.name), System: !s.user}
	}
	return m
}
