package owner

import (
	"context"
	"strings"
)

// A member is a process of a lineage, as far as it tells what it runs. Whatever could not be read is empty. All texts in it are
// untrusted.
type member struct {
	ID
	parent int32
	user   int64  // who it runs as; on Windows not known, and 0
	name   string // as the system gives it; Linux cuts it off after 15 bytes
	exe    string // path of its program
	dir    string // working directory
	args   []string
	// commands are what args hold, the outermost first; there is at least one.
	commands []command
	file     string // the script, the archive or else the program that it runs
	isolated bool   // it is in a container or a sandbox: the names of its files mean nothing here
}

// What is read of a command line. It may be 2 MB, and a program may write over its own.
const (
	maxCmdline = 64 << 10
	maxArgs    = 1024
)

// maxLineage is how many members a lineage has at most.
const maxLineage = 1 + len(Facts{}.Ancestors)

// lineage returns p and its ancestors, the nearest first, up to and without what the person or the system started them from: a
// shell that somebody types into, a terminal, a desktop session, a service manager, another user's process. It is empty when p
// has ended. The error tells what kept it from going on; that an ancestor has ended is one. Apart says that p is in a container or a
// sandbox. Its ancestors count as in there, too: what starts containers is none of the lineage.
func lineage(ctx context.Context, p Process, isolated bool) ([]member, error) {
	m, err := readMember(ctx, p.PID)
	if err != nil || m.Start != p.Start {
		return nil, err
	}
	if p.Dir != "" {
		m.dir = p.Dir
	}
	line := make([]member, 0, maxLineage)
	for {
		if m.isolated = isolated; isolated {
			m.dir = p.Dir
		}
		m.inspect()
		line = append(line, m)
		if len(line) == maxLineage || m.parent <= 1 || ctx.Err() != nil {
			return line, nil
		}
		parent, err := readMember(ctx, m.parent)
		// Windows keeps the PID of a parent that has ended: see Parent.
		if err != nil || parent.Start > m.Start || parent.user != m.user || parent.isStarter() {
			return line, err
		}
		m = parent
	}
}

// newMember derives the remaining fields.
func newMember(m member) member {
	m.exe = strings.TrimSuffix(m.exe, " (deleted)")
	program := m.exe
	if len(m.args) == 0 && program == "" {
		program = m.name
	}
	m.commands = unwrap(m.args, program)
	return m
}

// starts reports whether people or the system start programs from m, so that nothing above it belongs to them.
func (m member) isStarter() bool {
	if m.PID == 1 || starters[strings.ToLower(m.name)] || starters[programName(m.exe)] || managers[m.name] {
		return true
	}
	if len(m.args) == 0 {
		return m.isShell(programName(m.exe))
	}
	if len(m.commands) != 1 {
		return false
	}
	shell := withoutVersion(strings.TrimPrefix(m.commands[0].name, "-"))
	w := readShell(shell, m.commands[0].args)
	return m.isShell(shell) && w.line == "" && len(w.script) == 0
}

// isShell reports whether m, a program of that name, is a shell. Elsewhere than on Windows cmd is not one, but what the go command
// makes of a directory of that name.
func (m member) isShell(name string) bool {
	path := m.exe
	if path == "" && len(m.args) > 0 {
		path = m.args[0]
	}
	return shells[name] && (name != "cmd" || strings.HasSuffix(strings.ToLower(path), ".exe"))
}

// starters are the programs, apart from shells and service managers, that people or the system start others from: terminals,
// multiplexers, remote and local logins, desktops, timers, containers. Names that are longer are there as Linux cuts them, too.
var starters = readStarters(`
	gnome-terminal-server gnome-terminal kgx gnome-console ptyxis ptyxis-agent konsole yakuake xfce4-terminal mate-terminal lxterminal
	qterminal terminator tilix guake tilda terminology sakura roxterm xterm uxterm urxvt urxvtd rxvt st kitty alacritty wezterm
	wezterm-gui wezterm-mux-server foot footclient ghostty rio contour hyper tabby warp warp-terminal blackbox deepin-terminal
	io.elementary.terminal terminal iterm2 itermserver windowsterminal openconsole conhost mintty conemu64 wt
	tmux tmux:~server screen zellij dtach abduco mosh-server ttyd gotty script
	login sshd sshd-session sshd-auth dropbear cron crond anacron atd su runuser
	systemd systemd-executor (sd-pam) s6-supervise runsvdir runsv dinit openrc-run start-stop-daemon supervisord services svchost wininit
	containerd-shim containerd-shim-runc-v1 containerd-shim-runc-v2 runc crun conmon tini dumb-init docker-init catatonit
	sessionleader snapd dbus-daemon dbus-broker dbus-broker-launch
	gnome-shell gnome-session-binary gnome-session-service gnome-session-init-worker gdm-x-session gdm-wayland-session gsd-media-keys
	kwin_x11 kwin_wayland kwin_wayland_wrapper plasmashell plasma_session startplasma-x11 startplasma-wayland ksmserver krunner kded5
	kded6 kdeinit5 xfce4-session xfce4-panel xfdesktop xfwm4 cinnamon cinnamon-session mate-session mate-panel marco lxqt-session
	lxqt-panel lxsession lxpanel pcmanfm openbox i3 sway hyprland river niri wayfire labwc weston awesome bspwm dwm budgie-panel
	budgie-wm cosmic-session cosmic-panel cosmic-comp xorg xwayland sddm sddm-helper lightdm xinit startx rofi wofi dmenu_run
	launchd loginwindow finder dock windowserver systemuiserver spotlight raycast alfred
	explorer sihost winlogon userinit taskhostw startmenuexperiencehost`)

func readStarters(names string) map[string]bool {
	starters := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		name = strings.ReplaceAll(name, "~", " ")
		starters[name] = true
		starters[name[:min(15, len(name))]] = true
	}
	return starters
}

// An Ancestor is a process that another one descends from. Its name is as the system gives it: untrusted text.
type Ancestor struct {
	ID
	Name string
}

// maxChain is how many ancestors Chain returns at most.
const maxChain = 16

// Chain returns the processes that p descends from, its parent first, up to and with what everything else there was started from:
// a terminal, a remote login, a desktop, a service manager, a container's shim. It is empty when p has ended or no more can be seen,
// and takes a second at most.
func Chain(ctx context.Context, p Process) []Ancestor {
	chain, _ := guarded(ctx, tellGuard, tellTime, func(ctx context.Context) []Ancestor { return chain(ctx, p) })
	return chain
}

func chain(ctx context.Context, p Process) []Ancestor {
	child, err := readMember(ctx, p.PID)
	if err != nil || child.Start != p.Start {
		return nil
	}
	var chain []Ancestor
	for len(chain) < maxChain && child.parent > 0 && ctx.Err() == nil {
		parent, err := readMember(ctx, child.parent)
		if err != nil || parent.Start > child.Start { // Windows keeps the PID of a parent that has ended: see Parent
			break
		}
		name := parent.name
		if threadNames[name] && parent.exe != "" {
			name = lastElement(parent.exe)
		}
		chain = append(chain, Ancestor{parent.ID, name})
		if parent.isStarter() && !parent.isShell(programName(parent.exe)) {
			break
		}
		child = parent
	}
	return chain
}
