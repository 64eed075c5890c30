package watcher

import "porttray/watcher/owner"

// A Section is the part of the list that a server is shown in.
type Section int

// The sections.
const (
	Main   Section = iota // what its user would call "my servers"
	Other                 // all others
	Hidden                // what its user does not want to see; no server is by itself
)

// String returns the section as it is written in JSON.
func (s Section) String() string {
	return [...]string{"main", "other", "hidden"}[s]
}

// A placing is all that decides about a server's section.
type traits struct {
	container bool // it is published by a container, or by something that forwards to one
	unseen    bool // its owner is not known
	foreign   bool // it is another user's
	system    bool // the system's service manager runs it
	dynamic   bool // its port is one that the system picks for programs that do not care which
	project   bool
	desktop   bool // a desktop program started it
	tool      owner.Kind
	daemon    bool // it works for other programs, whatever its port
	tools     bool // so it does if the system picked its port: a build tool, a helper, a debugger
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
		daemon:    l.Facts.Own().Kind == owner.Daemon,
		tools:     l.Facts.Background && !l.named() || l.Inspects(),
	}
}

// section decides where a server is shown. A container is always somebody's server. Under Other is what works for other programs: a
// daemon, and a build tool or a helper on a port that the system picked. Of other users' and the system's processes only known servers
// are in the main list. A desktop program's own ports are not, but a project's program is, also when it was started from an editor. On
// a port that the system picked, only a project's program or a known server is.
func (p traits) section() Section {
	known := p.tool == owner.Server || p.tool == owner.Runner
	desktop := p.desktop || p.tool == owner.App
	switch {
	case p.container:
		return Main
	case p.unseen, p.daemon, p.tools && p.dynamic:
		return Other
	case known:
		return Main
	case p.foreign, p.system && !p.project:
		return Other
	case p.dynamic && (desktop || !p.project), p.tool == owner.App && !p.project:
		return Other
	}
	return Main
}
