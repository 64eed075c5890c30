package server

import "porttray/watcher/facts"

// A Section is the part of the list that shows a server.
type Section int

// The sections.
const (
	Main   Section = iota // servers that their user would call "my servers"
	Other                 // all others
	Hidden                // servers that their user hid; none is hidden by default
)

// String returns the name of the section in JSON.
func (s Section) String() string {
	return [...]string{"main", "other", "hidden"}[s]
}

// The traits of a server decide its section.
type traits struct {
	container bool // a container or its forwarder publishes it
	unseen    bool // its owner is not known
	foreign   bool // it is another user's
	system    bool // the system's service manager runs it
	dynamic   bool // the system hands out its port to programs that ask for any
	project   bool
	desktop   bool // a desktop program started it
	tool      facts.Kind
	daemon    bool // it works for other programs, whatever its port
	tools     bool // it works for other programs if its port is dynamic: a build tool, a helper, a debugger
}

func traitsOf(l Listener, dynamic func(port uint16) bool) traits {
	return traits{
		container: l.Container.ID != "" || l.Owner.Forwards(),
		unseen:    !l.Owner.Known(),
		foreign:   l.Owner.Foreign,
		system:    l.Facts.Manager.System,
		dynamic:   dynamic(l.Port),
		project:   l.Facts.Project.Name != "",
		desktop:   l.Facts.App != "",
		tool:      l.Facts.Tool.Kind,
		daemon:    l.Facts.Own().Kind == facts.Daemon,
		tools:     l.Facts.Background && !l.named() || l.Inspects(),
	}
}

// section returns the section of a server. A container is always Main. Unknown owners and programs that work for other
// programs are Other: a daemon, and a build tool or a helper on a dynamic port. Other users' processes, and the
// system's without a project, are Main only if they are known servers. A desktop program's own ports are Other. A
// project's program is Main, even if an editor started it. On a dynamic port, only a project's program or a known
// server is Main.
func (p traits) section() Section {
	known := p.tool == facts.Server || p.tool == facts.Runner
	desktop := p.desktop || p.tool == facts.App
	switch {
	case p.container:
		return Main
	case p.unseen, p.daemon, p.tools && p.dynamic:
		return Other
	case known:
		return Main
	case p.foreign, p.system && !p.project:
		return Other
	case p.dynamic && (desktop || !p.project), p.tool == facts.App && !p.project:
		return Other
	}
	return Main
}
