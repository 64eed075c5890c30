package facts

import (
	"context"
	"strings"

	"porttray/watcher/owner"
	"porttray/watcher/trusted"
)

// A member is a process of a lineage, with its program and commands. Unreadable fields are empty, all texts untrusted.
type member struct {
	owner.ID
	parent int32
	user   int64  // its user ID; 0 on Windows
	name   string // from the system; Linux cuts it off after 15 bytes
	exe    string // path of its program
	dir    string // working directory
	args   []string
	// commands are the commands in args, the outermost first. There is at least one.
	commands []command
	file     string // the script, the archive or else the program file
	isolated bool   // in a container or a sandbox, so its paths mean nothing here
}

// Limits for reading a command line. It may be 2 MB, and a program may overwrite its own.
const (
	maxCmdline = 64 << 10
	maxArgs    = 1024
)

// maxLineage is the maximum length of a lineage.
const maxLineage = 1 + len(Facts{}.Ancestors)

// lineage returns p and its ancestors, the nearest first. It ends before the process from which the person or the
// system started them: an interactive shell, a terminal, a desktop session, a service manager, another user's process.
// It is empty if p has ended. The error is the reason for an early end, such as an ended ancestor. isolated says that p
// is in a container or a sandbox. Then its ancestors count as isolated too, because programs that start containers are
// never part of a lineage.
func lineage(ctx context.Context, p owner.Process, isolated bool) ([]member, error) {
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
		// Windows keeps the PID of an ended parent, see Parent.
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

// isStarter reports whether people or the system start programs from m. Then m's own ancestors are unrelated to them.
func (m member) isStarter() bool {
	if m.PID == 1 || owner.IsManager(m.name) ||
		starters[strings.ToLower(m.name)] || starters[owner.ProgramName(m.exe)] {
		return true
	}
	if len(m.args) == 0 {
		return m.isShell(owner.ProgramName(m.exe))
	}
	if len(m.commands) != 1 {
		return false
	}
	shell := withoutVersion(strings.TrimPrefix(m.commands[0].name, "-"))
	w := readShell(shell, m.commands[0].args)
	return m.isShell(shell) && w.line == "" && len(w.script) == 0
}

// isShell reports whether m, a program of that name, is a shell. A cmd is a shell only with the extension .exe. Any
// other cmd is a program that Go built from a directory of that name.
func (m member) isShell(name string) bool {
	path := m.exe
	if path == "" && len(m.args) > 0 {
		path = m.args[0]
	}
	return shells[name] && (name != "cmd" || strings.HasSuffix(strings.ToLower(path), ".exe"))
}

// starters are programs from which people or the system start others: terminals, multiplexers, logins, desktops,
// timers, containers. Shells and service managers are listed elsewhere. A long name is also listed in the form that
// Linux truncates.
var starters = readStarters(`
	gnome-terminal-server gnome-terminal kgx gnome-console ptyxis ptyxis-agent konsole yakuake xfce4-terminal
	mate-terminal lxterminal qterminal terminator tilix guake tilda terminology sakura roxterm xterm uxterm urxvt urxvtd
	rxvt st kitty alacritty wezterm wezterm-gui wezterm-mux-server foot footclient ghostty rio contour hyper tabby warp
	warp-terminal blackbox deepin-terminal io.elementary.terminal terminal iterm2 itermserver windowsterminal
	openconsole conhost mintty conemu64 wt tmux tmux:~server screen zellij dtach abduco mosh-server ttyd gotty script
	login sshd sshd-session sshd-auth dropbear cron crond anacron atd su runuser systemd systemd-executor (sd-pam)
	s6-supervise runsvdir runsv dinit openrc-run start-stop-daemon supervisord services svchost wininit containerd-shim
	containerd-shim-runc-v1 containerd-shim-runc-v2 runc crun conmon tini dumb-init docker-init catatonit sessionleader
	snapd dbus-daemon dbus-broker dbus-broker-launch gnome-shell gnome-session-binary gnome-session-service
	gnome-session-init-worker gdm-x-session gdm-wayland-session gsd-media-keys kwin_x11 kwin_wayland
	kwin_wayland_wrapper plasmashell plasma_session startplasma-x11 startplasma-wayland ksmserver krunner kded5 kded6
	kdeinit5 xfce4-session xfce4-panel xfdesktop xfwm4 cinnamon cinnamon-session mate-session mate-panel marco
	lxqt-session lxqt-panel lxsession lxpanel pcmanfm openbox i3 sway hyprland river niri wayfire labwc weston awesome
	bspwm dwm budgie-panel budgie-wm cosmic-session cosmic-panel cosmic-comp xorg xwayland sddm sddm-helper lightdm
	xinit startx rofi wofi dmenu_run launchd loginwindow finder dock windowserver systemuiserver spotlight raycast
	alfred explorer sihost winlogon userinit taskhostw startmenuexperiencehost`)

func readStarters(names string) map[string]bool {
	starters := map[string]bool{}
	for name := range strings.FieldsSeq(names) {
		name = strings.ReplaceAll(name, "~", " ")
		starters[name] = true
		starters[name[:min(15, len(name))]] = true
	}
	return starters
}

// An Ancestor is a process that another one descends from. Its name comes from the system and is untrusted.
type Ancestor struct {
	owner.ID
	Name string
}

// maxChain is the maximum number of ancestors from Chain.
const maxChain = 16

// Chain returns p's ancestors, the parent first. It ends with the process that starts all others there: a terminal, a
// remote login, a desktop, a service manager, a container's shim. It is empty if p has ended or nothing can be seen. It
// takes a second at most.
func Chain(ctx context.Context, p owner.Process) []Ancestor {
	chain, _ := trusted.Guarded(ctx, tellGuard, tellTime, func(ctx context.Context) []Ancestor { return chain(ctx, p) })
	return chain
}

func chain(ctx context.Context, p owner.Process) []Ancestor {
	child, err := readMember(ctx, p.PID)
	if err != nil || child.Start != p.Start {
		return nil
	}
	var chain []Ancestor
	for len(chain) < maxChain && child.parent > 0 && ctx.Err() == nil {
		parent, err := readMember(ctx, child.parent)
		if err != nil || parent.Start > child.Start { // Windows keeps the PID of an ended parent, see Parent
			break
		}
		name := parent.name
		if owner.IsThreadName(name) && parent.exe != "" {
			name = owner.LastElement(parent.exe)
		}
		chain = append(chain, Ancestor{parent.ID, name})
		if parent.isStarter() && !parent.isShell(owner.ProgramName(parent.exe)) {
			break
		}
		child = parent
	}
	return chain
}
