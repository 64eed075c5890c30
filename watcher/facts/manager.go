package facts

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"porttray/watcher/project"
)

// unitOf returns the systemd unit in the text of /proc/PID/cgroup (cgroups(7)), or none.
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
	if systemd != "" { // a hierarchy of version 1; then the unified one may be empty
		return unitIn(systemd)
	}
	return unitIn(unified)
}

var userManager = regexp.MustCompile(`^user@[0-9]+\.service$`)

// unitIn returns the service of a process in this cgroup. Such a path starts with slices, perhaps followed by the user
// manager with its own slices. Then come the service and the groups that it made for itself. Any other path belongs to
// another systemd, in a container or virtual machine, or has no service. A scope (a session, a terminal's tab, a
// container) holds programs of others, and nothing restarts it.
func unitIn(cgroup string) Manager {
	m := Manager{System: true}
	for element := range strings.SplitSeq(strings.Trim(cgroup, "/"), "/") {
		unit := strings.TrimPrefix(element, "_") // systemd's prefix for names that the kernel could take for its own
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

// unescapeUnit restores the characters that systemd writes as \x2d in a unit's name (systemd-escape(1)).
func unescapeUnit(unit string) string {
	return unitEscape.ReplaceAllStringFunc(unit, func(escape string) string {
		c, _ := strconv.ParseUint(escape[2:], 16, 8) // the pattern allows nothing else
		return string([]byte{byte(c)})
	})
}

// launchingServices are services that run programs for people or other programs, in the service's own cgroup. systemd
// would restart the service but not those programs. Instances of a template go by the template's name.
var launchingServices = map[string]bool{
	// They run jobs at set times or at boot.
	"cron": true, "crond": true, "cronie": true, "fcron": true, "anacron": true, "atd": true, "rc-local": true,
	// They log people in. Without a session manager, people's programs stay in the service's cgroup.
	"ssh": true, "sshd": true, "dropbear": true, "getty": true, "serial-getty": true, "console-getty": true,
	"container-getty": true, "display-manager": true, "gdm": true, "gdm3": true, "sddm": true, "lightdm": true,
	"greetd": true, "xrdp": true, "xrdp-sesman": true, "vncserver": true, "tigervncserver": true,
	// They start programs on demand.
	"dbus": true, "dbus-daemon": true, "dbus-broker": true, "at-spi-dbus-bus": true, "org.gnome.Shell": true,
	"plasma-plasmashell": true,
	// Shells run in them: terminals, editors.
	"gnome-terminal-server": true, "tmux": true, "screen": true, "emacs": true, "ttyd": true, "code-server": true,
	"openvscode-server": true,
	// They run containers in their cgroup or in one below it. A container has its own restart rules.
	"docker": true, "containerd": true, "podman": true, "crio": true, "k3s": true, "kubelet": true,
	"snap.docker.dockerd": true,
}

// systemd creates these services for one program and forgets them when it ends. systemd-run(1) asks for transient ones.
// onDemand ones belong to a D-Bus program, or to a program that a desktop started for this user
// (systemd.io/DESKTOP_ENVIRONMENTS).
var (
	transient = regexp.MustCompile(`^run-(u[0-9]+|r[0-9a-f]{32}|p[0-9]+-i[0-9]+)\.service$`)
	onDemand  = regexp.MustCompile(`^(dbus-:.*|app-.*@.*)\.service$`)
)

// launches reports whether m starts unrelated programs.
func launches(m Manager) bool {
	name, _, _ := strings.Cut(strings.TrimSuffix(m.Name, ".service"), "@")
	return launchingServices[name] || transient.MatchString(m.Name) || !m.System && onDemand.MatchString(m.Name)
}

// jobLabel returns the label of the launchd job with this PID, or nothing. jobs is the output of "launchctl list": a
// heading, then one line for each job. A line has the PID or a dash, the last exit status and the label, between tabs
// (launchctl(1)).
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
		return project.ShortName(label)
	}
	return ""
}

// openedJob matches labels that macOS makes up for a program that somebody opened or that started itself. launchd does
// not restart these.
var openedJob = regexp.MustCompile(`^(application\.|\[0x|0x[0-9a-f]+\.|` +
	`com\.apple\.xpc\.launchd\.(oneshot|unmanaged)\.)`)

// A service is a running Windows service.
type service struct {
	name string
	pid  uint32
	user bool // it runs for one logged-in user
}

// serviceOf returns the service in this process. It returns none if there are several, because any could be the owner.
func serviceOf(services []service, pid int32) Manager {
	var m Manager
	for _, s := range services {
		if pid <= 0 || s.pid != uint32(pid) {
			continue
		}
		if m.Name != "" {
			return Manager{}
		}
		m = Manager{Name: project.ShortName(s.name), System: !s.user}
	}
	return m
}
