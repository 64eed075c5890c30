package facts

import (
	"context"
	"slices"
	"strings"

	"porttray/watcher/owner"
	"porttray/watcher/project"
)

// socketHolders are programs, besides service managers, that hold sockets for several servers: sshd for its tunnels.
const socketHolders = "sshd sshd-session dropbear inetd xinetd"

// appManagers are the process managers that hold the sockets of their apps.
const appManagers = "circusd supervisord"

// isPM2 reports whether m is PM2's God Daemon. Only on Linux is the title also the name, so the arguments count too.
func (m member) isPM2() bool {
	return owner.IsPM2(m.name) || len(m.args) == 1 && owner.IsPM2(m.args[0])
}

// holds reports whether m holds listening sockets for several unrelated servers.
func (m member) holds() bool {
	return owner.IsManager(m.name) || among(socketHolders, m.name) || m.managesApps() || m.multiplexes()
}

// managesApps reports whether m is a process manager that holds its apps' sockets.
func (m member) managesApps() bool { return m.isPM2() || among(appManagers, m.name) }

// appsProject returns the common project of a process manager's apps, or nothing if they differ. The manager holds the
// sockets, so the app behind a port is unknown.
func appsProject(ctx context.Context, manager int32, homes []string) project.Project {
	var common project.Project
	for _, pid := range children(manager) {
		m, err := readMember(ctx, pid)
		if err != nil || slices.Contains(elements(m.dir), ".pm2") { // a module of the manager's own
			continue
		}
		p := project.Find(ctx, m.dir, homes...)
		if p.Dir == "" || common.Dir != "" && p.Dir != common.Dir {
			return project.Project{}
		}
		common = p
	}
	return common
}

// multiplexes reports whether m is an ssh that other ssh commands share, each with its own tunnels.
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

// sshFlags are ssh's options without a value.
const sshFlags = "46AaCfGgKkMNnqsTtVvXxYy"

// forkedFrom reports whether m runs the same program as its parent, like a worker and its master.
func (m member) forkedFrom(parent member) bool {
	return m.exe != "" && m.exe == parent.exe && m.file == parent.file && !m.isShell(owner.ProgramName(m.exe))
}

// orphaned reports whether m's parent is the first process or a service manager, as after the end of the real parent.
func (m member) orphaned() bool {
	if m.parent <= 1 {
		return m.parent == 1
	}
	parent, err := owner.ReadVitals(m.parent)
	return err == nil && owner.IsManager(parent.Name)
}

// IsWorker reports whether p is now a child of master and runs the same program. A child of a shell never counts.
func IsWorker(ctx context.Context, p, master owner.Process) bool {
	m, err := readMember(ctx, p.PID)
	parent, err2 := readMember(ctx, master.PID)
	if err != nil || err2 != nil || m.ID != p.ID() || parent.ID != master.ID() || m.parent != master.PID {
		return false
	}
	m.inspect()
	parent.inspect()
	return m.forkedFrom(parent)
}
