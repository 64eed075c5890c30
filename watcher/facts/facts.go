// Package facts finds out whose process it is: its project, tool, program, launchers and service manager. It reads
// command lines and files of the process and its ancestors.
package facts

import (
	"context"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/project"
	"porttray/watcher/trusted"
)

// Facts say whose server a process is, in its owner's terms. They are comparable. An absent fact is empty, and no fact
// is ever guessed. All texts in them are untrusted.
type Facts struct {
	// Container is the ID of the process's container. It is empty for this program's own container or an unknown one.
	// In a container or a sandbox, Project is empty unless this system has the same directory under the same name.
	Container string
	Project   project.Project
	// Tool is the process's tool or, if Inherited, the tool of an ancestor that the process works for.
	Tool      Tool
	Inherited bool
	// Program is the program or script of the process, if no Tool of Kind Server names it. It is the slash-separated
	// path of a script or archive, the full name of a Python module or Java class, or else the program's name. A path
	// in the Project is relative to it: "cmd/api/main.js". Program stays the same after a restart, because it leaves
	// out archive versions and build directories. It has no arguments and at most 256 bytes. It is empty for a process
	// that has given itself another name.
	Program string
	// Self is the process's own tool if Tool is inherited: a helper, a runner or nothing.
	Self Tool
	// Debugger is the port for a debugger, if the command line names one.
	Debugger DebuggerPort
	// Named are the listening ports in the command line. Unused entries are zero.
	Named  [maxNamed]NamedPort
	Helper bool // its own program is a Helper or a Daemon: esbuild, workerd
	// Background says that the process's own program works for other programs rather than for people. It is a Daemon,
	// or it is a build tool or a helper that runs none of the person's code.
	Background bool
	// Holder says that the process holds sockets for several unrelated servers: a service manager, an sshd. Its facts
	// may change with its sockets.
	Holder bool
	// Forked says that the parent runs the same program, like a master and its workers.
	Forked bool
	// Orphan says that the parent has ended or is a service manager.
	Orphan  bool
	App     string // the desktop program that started it, unless it is a Tool itself
	Manager Manager
	// Supervisor is the ancestor that would start the process again: nodemon, air.
	Supervisor Supervisor
	// Command is the shell line that starts the process again, or empty. It may hold secrets: only for the clipboard.
	Command string
	// Ancestors lists the process's ancestors, the parent first. It ends before the shell, terminal, desktop or service
	// manager that started them. Unused entries are zero.
	Ancestors [8]owner.ID
}

// A DebuggerPort is the port at which a process waits for a debugger. The zero value means that none is known.
type DebuggerPort struct {
	Name string // "JDWP"
	Port uint16
}

// A Manager is the systemd unit, launchd job or Windows service that would start the process again.
type Manager struct {
	Name   string // of a systemd unit, a launchd job or a Windows service
	System bool   // it works for the whole system rather than for this user
}

// A Supervisor is a process that starts another one again after file changes or after its end.
type Supervisor struct {
	owner.ID
	Name string
}

// A Tool is the program behind a server, under its usual name: "Vite", "PostgreSQL".
type Tool struct {
	Name string
	Kind Kind
}

// A Kind classifies a tool by its meaning for a listener.
type Kind int

// The kinds of tool. The zero value means no tool.
const (
	_      Kind = iota
	Server      // runs in order to serve: a development server, a web server, a database
	Runner      // runs the person's code: go run, cargo, Gradle, php -S; a Server in the same lineage says more
	Helper      // works for another server: esbuild, workerd
	App         // a desktop program with ports of its own: an editor, a browser
	Daemon      // works in the background for other programs: a language server, a build daemon
)

// tellTime is the limit for finding out the facts about one process.
const tellTime = time.Second

// tellGuard keeps hanging calls from taking all threads. Its limit counts for the whole program.
var tellGuard = trusted.NewGuard(4)

// Tell finds out the facts about p. It reads files of p and its ancestors, and files in p's directory and the
// directories above. It takes a second at most, because a dead network file system can block it. It returns false after
// that second or for OutOfFiles. Then the caller should ask again later. An ended process has no facts.
func Tell(ctx context.Context, p owner.Process) (Facts, bool) {
	type answer struct {
		Facts
		sure bool
	}
	t, ok := trusted.Guarded(ctx, tellGuard, tellTime, func(ctx context.Context) answer {
		f, sure := tell(ctx, p)
		return answer{f, sure}
	})
	return t.Facts, ok && t.sure
}

func tell(ctx context.Context, p owner.Process) (f Facts, sure bool) {
	container, isolated, err := owner.IsolationOf(p.PID)
	if err != nil {
		return Facts{}, false
	}
	if isolated {
		p.Dir = owner.SharedDir(p.PID)
	}
	line, err := lineage(ctx, p, isolated)
	if len(line) == 0 || owner.OutOfFiles(err) {
		return Facts{}, !owner.OutOfFiles(err)
	}
	homes := project.HomeDirs()
	f = Facts{Container: container, Project: project.Find(ctx, p.Dir, homes...), Manager: manager(ctx, p)}
	if !isolated {
		f.Command = restartCommand(line[0], p.Dir)
	}
	for i := range line {
		line[i].markOwnProgram(f.Project)
	}
	own := line[0].tool()
	f.Tool = toolOf(line, f.Project.Dir)
	f.Inherited, f.Helper = f.Tool != own, own.Kind == Helper || own.Kind == Daemon
	f.Debugger = FindDebugger(line[0].args)
	f.Background = line[0].background(own, f.Project.Dir)
	f.Named = PortsNamed(line[0].args)
	if f.Inherited {
		f.Self = own
		if f.Tool.Kind == Daemon { // Gradle's daemon runs the person's code
			f.Tool.Kind = Runner
		}
	}
	if f.Tool.Kind == App && f.Inherited {
		f.App, f.Tool, f.Inherited = f.Tool.Name, Tool{}, false
	}
	f.Orphan = len(line) == 1 && line[0].orphaned()
	f.Forked = len(line) > 1 && line[0].forkedFrom(line[1])
	if f.Holder = line[0].holds(); f.Holder {
		f.Project, f.Command = project.Project{}, ""
	}
	if line[0].managesApps() {
		f.Project = appsProject(ctx, p.PID, homes)
	}
	if line[0].isPM2() {
		f.Tool, f.Inherited = Tool{"PM2", Runner}, false
	}
	for i, m := range line[1:] {
		f.Ancestors[i] = m.ID
		if name := m.supervises(); name != "" && f.Supervisor.Name == "" {
			f.Supervisor = Supervisor{m.ID, name}
		}
		// A worker or a supervisor's child belongs to the directory in which its tool was started.
		if f.Project.Dir == "" && f.Inherited && m.tool() == f.Tool {
			f.Project = project.Find(ctx, m.dir, homes...)
		}
	}
	if f.Project.Name == "" {
		f.Project.Name = line[0].titleProject()
	}
	if !f.Holder && f.Tool.Kind != Server {
		f.Program = programOf(line, f.Project.Dir)
	}
	// All of the above was read by PID, so it counts only if one process had that PID throughout.
	if again, err := owner.Identify(p.PID); err != nil || !again.Is(p) {
		return Facts{}, !owner.OutOfFiles(err)
	}
	return f, true
}

// NamedAt returns the command line's entry for a port, if there is one.
func (f Facts) NamedAt(port uint16) (NamedPort, bool) {
	for _, n := range f.Named {
		if n.Port == port && port != 0 {
			return n, true
		}
	}
	return NamedPort{}, false
}

// Own returns the tool of the process itself. It is none for a process that only works for a tool.
func (f Facts) Own() Tool {
	if f.Inherited {
		return f.Self
	}
	return f.Tool
}

// ManyProcesses reports whether a tool consists of several listening processes side by side.
func ManyProcesses(tool string) bool { return tool == "MCP Inspector" }
