package owner

import (
	"context"
	"slices"
	"strings"
)

// socketHolders are the programs, apart from service managers, that hold sockets for several servers: an sshd those of the tunnels
// that come in.
const socketHolders = "sshd sshd-session dropbear inetd xinetd"

// appManagers are the process managers that hold the sockets of their apps.
const appManagers = "circusd supervisord"

// isPM2 reports whether a process of this name or title is the God Daemon of PM2, which holds the sockets of all apps in cluster
// mode. It calls itself "PM2 v6.0.5: God Daemon (/home/ann/.pm2)", of which PM2 is the name. The command is pm2.
func isPM2(name string) bool { return name == "PM2" || strings.HasPrefix(name, "PM2 v") }

// isPM2 reports whether m is PM2's God Daemon. Linux has the title as its name, too; other systems have it in the arguments only.
func (m member) isPM2() bool { return isPM2(m.name) || len(m.args) == 1 && isPM2(m.args[0]) }

// holds reports whether m holds listening sockets for several servers, so that its ports have nothing to do with each other.
func (m member) holds() bool {
	return managers[m.name] || among(socketHolders, m.name) || m.managesApps() || m.multiplexes()
}

// managesApps reports whether m is a process manager that holds the sockets of its apps.
func (m member) managesApps() bool { return m.isPM2() || among(appManagers, m.name) }

// appsProject returns the project of the apps that a process manager runs, if it is the same for all of them. Which of its
// children serves at which port cannot be seen: the sockets are the manager's.
func appsProject(ctx context.Context, manager int32, homes []string) Project {
	var common Project
	for _, pid := range children(manager) {
		m, err := readMember(ctx, pid)
		if err != nil || slices.Contains(elements(m.dir), ".pm2") { // a module of the manager's own
			continue
		}
		p := project(ctx, m.dir, homes...)
		if p.Dir == "" || common.Dir != "" && p.Dir != common.Dir {
			return Project{}
		}
		common = p
	}
	return common
}

// multiplexes reports whether m is an ssh that other calls of ssh share, each with tunnels of its own.
func (m member) multiplexes() bool {
	if len(m.args) == 1 {
		return strings.HasPrefix(m.args[0], "ssh: ") && strings.HasSuffix(m.args[0], " [mux]")
	}
	return m.name == "ssh" && slices.ContainsFunc(m.args, func(arg string) bool {
		option, value, _ := strings.Cut(strings.TrimPrefix(arg, "-o"), "=") // ssh_config(5)
		flags, dashed := strings.CutPrefix(arg, "-")
		return strings.EqualFold(option, "ControlMaster") && value != "no" ||
			dashed && strings.ContainsRune(flags, 'M') && strings.Trim(flags, sshFlags) == ""
	})
}

// sshFlags are the options of ssh that take no value.
const sshFlags = "46AaCfGgKkMNnqsTtVvXxYy"

// forkedFrom reports whether m runs the same program as its parent, as a worker does and the master that started it.
func (m member) forkedFrom(parent member) bool {
	return m.exe != "" && m.exe == parent.exe && m.file == parent.file && !m.isShell(programName(m.exe))
}

// orphaned reports whether nothing that could have started m is left: its parent has ended, and the first process or a service
// manager has taken its place.
func (m member) orphaned() bool {
	if m.parent <= 1 {
		return m.parent == 1
	}
	parent, err := readVitals(m.parent)
	return err == nil && managers[parent.name]
}
