package owner

import (
	"context"
	"time"
)

// Facts say whose server a process is, the way its owner thinks of it. They are comparable. An absent fact is empty; none is
// ever guessed. All texts in them are untrusted.
type Facts struct {
	// Container is the ID of the container that the process runs in, unless that is this program's own or not known. Of what runs in a
	// container or a sandbox the Project is that of a directory which this system has under the same name, or empty.
	Container string
	Project   Project
	// Tool is what the process is or, if Inherited, what the ancestor is that it works for.
	Tool      Tool
	Inherited bool
	// Program is what the process runs, where no Tool that serves says it: a script or an archive by its path with
	// slashes, a Python module or a Java class by its full name, else the program by its name. What lies in the Project
	// has its path from there: "cmd/api/main.js". It stays the same when the server is started again: versions of
	// archives and directories of builds are left out of it. It holds no arguments and 256 bytes at most. It is empty for a
	// process that has given itself another name than its program's.
	Program string
	// Self is what the process itself is where the Tool is inherited: a helper, a runner or nothing.
	Self Tool
	// Debugger is where it waits for a debugger, if its command line says so.
	Debugger DebuggerPort
	// Named are the ports that its command line names as those to listen at. Unused places are zero.
	Named  [maxNamed]NamedPort
	Helper bool // its own program is one that works for others: esbuild, workerd
	// Background says that its own program works for other programs rather than for people: it is a Daemon, or a build tool or a
	// helper that runs nothing the person wrote.
	Background bool
	// Holder says that it holds sockets for several servers, which have nothing to do with each other: a service manager, an sshd.
	// Facts about one may be others when it holds more or fewer sockets.
	Holder bool
	// Forked says that its parent runs the same program, as a master and its workers do.
	Forked bool
	// Orphan says that its parent has ended, or is a service manager.
	Orphan  bool
	App     string // the desktop program that it was started from, if it is no Tool itself
	Manager Manager
	// Supervisor is the ancestor that would start the process again: nodemon, air.
	Supervisor Supervisor
	// Command is the line for a shell that starts it again, or empty. It may hold secrets, and is only for the person's clipboard.
	Command string
	// Ancestors are the processes that it descends from, its parent first, up to the shell, terminal, desktop or service manager
	// that it was started from. That one is not among them. Unused places are zero.
	Ancestors [8]ID
}

// An ID identifies a process on a running system.
type ID struct {
	PID   int32
	Start uint64
}

// A Project is the directory tree that a process works in, and its name.
type Project struct {
	Name     string
	Dir      string // its root
	Branch   string // of the git working tree that it is in, if any
	Worktree bool   // the working tree is a linked one (git-worktree(1))
}

// A DebuggerPort is where a process waits for a debugger. The zero value says that it is not known to.
type DebuggerPort struct {
	Name string // "JDWP"
	Port uint16
}

// A Manager is what would start the process again.
type Manager struct {
	Name   string // of a systemd unit, a launchd job or a Windows service
	System bool   // it works for the whole system rather than for this user
}

// A Supervisor is a process that starts another one again when its files change or when it ends.
type Supervisor struct {
	ID
	Name string
}

// A Tool is the program behind a server, by the name that people use for it: "Vite", "PostgreSQL".
type Tool struct {
	Name string
	Kind Kind
}

// A Kind tells tools apart by what they say about a listener.
type Kind int

// The kinds of tool. The zero value is that of no tool.
const (
	_      Kind = iota
	Server      // something that is run to serve: a development server, a web server, a database
	Runner      // runs what the person wrote: go run, cargo, Gradle, php -S; a Server in the same lineage says more
	Helper      // works for another server: esbuild, workerd
	App         // a desktop program with ports of its own: an editor, a browser
	Daemon      // works in the background for other programs: a language server, a build daemon
)

// tellTime is how long finding out the facts about one process may take.
const tellTime = time.Second

// tellers keeps what hangs from taking all threads; its room counts for the whole program.
var tellGuard = newGuard(4)

// Tell finds out the facts about p. It reads files of p and its ancestors, of the directory that p works in and those above, and
// takes a second at most: a dead network file system can hold it. Then it returns false, as it does for OutOfFiles, and should be asked
// again later. There are no facts about a process that has ended.
func Tell(ctx context.Context, p Process) (Facts, bool) {
	type answer struct {
		Facts
		sure bool
	}
	t, ok := guarded(ctx, tellGuard, tellTime, func(ctx context.Context) answer {
		f, sure := tell(ctx, p)
		return answer{f, sure}
	})
	return t.Facts, ok && t.sure
}

func tell(ctx context.Context, p Process) (f Facts, sure bool) {
	container, isolated, err := isolationOf(p.PID)
	if err != nil {
		return Facts{}, false
	}
	if isolated {
		p.Dir = sharedDir(p.PID)
	}
	line, err := lineage(ctx, p, isolated)
	if len(line) == 0 || OutOfFiles(err) {
		return Facts{}, !OutOfFiles(err)
	}
	homes := homeDirs()
	f = Facts{Container: container, Project: project(ctx, p.Dir, homes...), Manager: manager(ctx, p)}
	if !isolated {
		f.Command = restartCommand(line[0], p.Dir)
	}
	for i := range line {
		line[i].markOwnProgram(f.Project)
	}
	own := line[0].tool()
	f.Tool = toolOf(line, f.Project.Dir)
	f.Inherited, f.Helper, f.Debugger = f.Tool != own, own.Kind == Helper || own.Kind == Daemon, findDebugger(line[0].args)
	f.Background = line[0].background(own, f.Project.Dir)
	f.Named = portsNamed(line[0].args)
	if f.Inherited {
		f.Self = own
		if f.Tool.Kind == Daemon { // what Gradle's daemon runs is the person's
			f.Tool.Kind = Runner
		}
	}
	if f.Tool.Kind == App && f.Inherited {
		f.App, f.Tool, f.Inherited = f.Tool.Name, Tool{}, false
	}
	f.Orphan = len(line) == 1 && line[0].orphaned()
	f.Forked = len(line) > 1 && line[0].forkedFrom(line[1])
	if f.Holder = line[0].holds(); f.Holder {
		f.Project, f.Command = Project{}, ""
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
		// A worker or the child of a supervisor belongs where the tool was started that it got its name from.
		if f.Project.Dir == "" && f.Inherited && m.tool() == f.Tool {
			f.Project = project(ctx, m.dir, homes...)
		}
	}
	if f.Project.Name == "" {
		f.Project.Name = line[0].titleProject()
	}
	if !f.Holder && f.Tool.Kind != Server {
		f.Program = programOf(line, f.Project.Dir)
	}
	// All of the above was read by PID: it counts only if that was one and the same process throughout.
	if again, err := Identify(p.PID); err != nil || !again.Is(p) {
		return Facts{}, !OutOfFiles(err)
	}
	return f, true
}
