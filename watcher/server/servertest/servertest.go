// Package servertest builds listeners for tests: a port, a process, and traits such as [In] or [By].
package servertest

import (
	"fmt"
	"net/netip"
	"strings"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// Tools and projects for tests.
var (
	Vite     = facts.Tool{Name: "Vite", Kind: facts.Server}
	Next     = facts.Tool{Name: "Next.js", Kind: facts.Server}
	Postgres = facts.Tool{Name: "PostgreSQL", Kind: facts.Server}
	Wrangler = facts.Tool{Name: "Wrangler", Kind: facts.Server}
	Vscode   = facts.Tool{Name: "VS Code", Kind: facts.App}
	Gradle   = facts.Tool{Name: "Gradle", Kind: facts.Runner}
	Esbuild  = facts.Tool{Name: "esbuild", Kind: facts.Helper}
	Redis    = facts.Tool{Name: "Redis", Kind: facts.Server}
	Rabbit   = facts.Tool{Name: "RabbitMQ", Kind: facts.Server}
	Elastic  = facts.Tool{Name: "Elasticsearch", Kind: facts.Server}
	Jupyter  = facts.Tool{Name: "Jupyter", Kind: facts.Server}
	Delve    = facts.Tool{Name: "Delve", Kind: facts.Runner}

	Shop  = project.Project{Name: "shop", Dir: "/home/ann/shop"}
	Blog  = project.Project{Name: "blog", Dir: "/home/ann/blog"}
	ShopA = project.Project{Name: "shop", Dir: "/home/ann/shop-a", Branch: "cart", Worktree: true}
	ShopB = project.Project{Name: "shop", Dir: "/home/ann/shop", Branch: "main"}
)

// A Trait changes a test listener.
type Trait func(*server.Listener)

// Serves returns a listener on a port of 127.0.0.1. The default owner is called node and has its PID as start.
func Serves(port uint16, pid int32, traits ...Trait) server.Listener {
	l := server.Listener{Port: port, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	l.Owner = owner.Process{PID: pid, Start: uint64(pid), Name: "node"}
	for _, change := range traits {
		change(&l)
	}
	return l
}

// Named sets the name of the process.
func Named(name string) Trait { return func(l *server.Listener) { l.Owner.Name = name } }

// In puts the process into a project.
func In(p project.Project) Trait { return func(l *server.Listener) { l.Facts.Project = p } }

// Titled sets the title of a node process.
func Titled(name string) Trait {
	return func(l *server.Listener) { l.Owner.Name, l.Owner.Exe = name, "/usr/bin/node" }
}

func IsDebugpy(l *server.Listener) { l.Facts.Self = facts.Tool{Name: "debugpy", Kind: facts.Helper} }

// Debugs sets the port on which the process waits for a debugger, according to its command line.
func Debugs(name string, port uint16) Trait {
	return func(l *server.Listener) { l.Facts.Debugger = facts.DebuggerPort{Name: name, Port: port} }
}

// WorkerOf sets the program and directory of the process.
func WorkerOf(exe, dir string) Trait {
	return func(l *server.Listener) { l.Owner.Exe, l.Owner.Dir, l.Owner.User = exe, dir, "1000" }
}

// Forked makes the process a worker of its parent.
func Forked(l *server.Listener) { l.Facts.Forked = true }

// Orphan makes the process one whose parent ended.
func Orphan(l *server.Listener) { l.Facts.Orphan = true }

// HoldsSockets makes the process one that holds sockets for several servers.
func HoldsSockets(l *server.Listener) { l.Facts.Holder = true }

// Background makes the process work in the background.
func Background(l *server.Listener) { l.Facts.Background = true }

// Inherited makes the tool that of an ancestor.
func Inherited(l *server.Listener) { l.Facts.Inherited = true }

// Helper makes the process a helper.
func Helper(l *server.Listener) { l.Facts.Helper = true }

// From sets the desktop program that started the process.
func From(app string) Trait { return func(l *server.Listener) { l.Facts.App = app } }

// By sets the tool.
func By(tool facts.Tool) Trait { return func(l *server.Listener) { l.Facts.Tool = tool } }

// Forwarder makes the process docker-proxy.
func Forwarder(l *server.Listener) {
	l.Owner.Name, l.Owner.Refusal = "docker-proxy", "forwards for a container or VM"
}

// Untold hides the container behind a forwarder.
func Untold(l *server.Listener) { l.Untold = "it may not be asked" }

// Hidden makes the owner an unknown process of another user.
func Hidden(l *server.Listener) { l.Owner = owner.Process{Foreign: true} }

// Unknown makes the owner unknown.
func Unknown(l *server.Listener) { l.Owner = owner.Process{} }

// Publishes sets the container.
func Publishes(c engine.Container) Trait { return func(l *server.Listener) { l.Container = c } }

// At sets the bind addresses.
func At(addrs ...string) Trait {
	return func(l *server.Listener) {
		l.Addrs = nil
		for _, a := range addrs {
			l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
		}
	}
}

// Under sets the PIDs of the ancestors, the parent first.
func Under(pids ...int32) Trait {
	return func(l *server.Listener) {
		for i, pid := range pids {
			l.Facts.Ancestors[i] = owner.ID{PID: pid, Start: uint64(pid)}
		}
	}
}

// Names sets the ports that the command line of the process names.
func Names(ports ...uint16) Trait {
	return func(l *server.Listener) {
		for i, port := range ports {
			l.Facts.Named[i] = facts.NamedPort{Port: port}
		}
	}
}

// NamesFor adds a port with a role that the command line of the process names.
func NamesFor(role string, port uint16) Trait {
	return func(l *server.Listener) {
		l.Facts.Named[len(l.Facts.Named)-1] = facts.NamedPort{Port: port, Role: role}
	}
}

// Tool returns a tool of kind Server.
func Tool(name string) facts.Tool { return facts.Tool{Name: name, Kind: facts.Server} }

// Dynamic reports whether port is in the usual range of Linux.
func Dynamic(port uint16) bool { return port >= 32768 }

// Describe formats a server as one line: "3000 shop · Vite +24678 (other, shared)".
func Describe(s server.Server) string {
	text := fmt.Sprintf("%d %s", s.Port, s.Title)
	for _, l := range s.Also {
		text += fmt.Sprintf(" +%d", l.Port)
	}
	var marks []string
	for _, m := range []struct {
		mark bool
		text string
	}{{s.Section == server.Other, "other"}, {s.Exposed(), "exposed"}, {s.Ambiguous, "ambiguous"}, {s.Shared &&
		!s.Ambiguous, "shared"}} {
		if m.mark {
			marks = append(marks, m.text)
		}
	}
	if workers := len(s.Workers()); workers > 1 {
		marks = append(marks, fmt.Sprintf("%d workers", workers))
	}
	if s.Master != (owner.ID{}) {
		marks = append(marks, "a master")
	}
	if len(marks) > 0 {
		text += " (" + strings.Join(marks, ", ") + ")"
	}
	return text
}

// Runs sets the program and the directory of the process.
func Runs(exe, dir string) Trait {
	return func(l *server.Listener) { l.Owner.Exe, l.Owner.Dir = exe, dir }
}

// Managed sets a service of the system.
func Managed(l *server.Listener) {
	l.Facts.Manager = facts.Manager{Name: "nginx.service", System: true}
}

// Script sets the file of its project that the process runs.
func Script(file string) Trait { return func(l *server.Listener) { l.Facts.Program = file } }

// Inside sets the port inside the container.
func Inside(port uint16) Trait { return func(l *server.Listener) { l.Inside = port } }

func Widened(l *server.Listener) { l.Widened = true }

func Project(name, dir, branch string) Trait {
	return In(project.Project{Name: name, Dir: dir, Branch: branch})
}

// Everyone binds a listener to all IPv4 interfaces.
var Everyone = At("0.0.0.0")
