package server

import (
	"net/netip"
	"slices"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
)

// A groupKey is shared by all listeners of one process or container. Forwarders of an unknown container, and unknown
// owners, share a key on their port. A process that holds sockets for several servers has a key for each port.
type groupKey struct {
	process owner.ID
	name    string // the container's ID or, with a port, the forwarder's name
	port    uint16
}

func groupKeyOf(l Listener) groupKey {
	switch {
	case l.Container.ID != "":
		return groupKey{name: l.Container.ID}
	case l.Owner.Forwards():
		return groupKey{name: l.Owner.Name, port: l.Port} // one process may forward IPv4, and another one IPv6
	case !l.Owner.Known():
		return groupKey{port: l.Port}
	case l.Facts.Holder:
		return groupKey{process: l.Owner.ID(), port: l.Port}
	}
	return groupKey{process: l.Owner.ID()}
}

// families groups sorted listeners by server. The listeners of the main process come first.
func families(listeners []Listener, dynamic func(uint16) bool) [][]Listener {
	order, members := make([]groupKey, 0, len(listeners)), make(map[groupKey][]Listener, len(listeners))
	for i, l := range listeners {
		k := groupKeyOf(l)
		if members[k] == nil {
			order = append(order, k)
			members[k] = listeners[i : i+1 : i+1] // most groups have one listener; this avoids a copy
		} else {
			members[k] = append(members[k], l)
		}
	}
	heads := headsOf(order, members, dynamic)
	families, at := make([][]Listener, 0, len(order)), make(map[groupKey]int, len(order))
	for _, k := range order {
		if _, folded := heads[k]; !folded {
			at[k] = len(families)
			families = append(families, members[k])
		}
	}
	for _, k := range order {
		if head, folded := heads[k]; folded {
			families[at[head]] = append(families[at[head]], members[k]...)
		}
	}
	return families
}

// headsOf maps the key of each group that is part of another server to the key of its main process.
func headsOf(order []groupKey, members map[groupKey][]Listener, dynamic func(uint16) bool) map[groupKey]groupKey {
	heads := folds{}
	for _, k := range order {
		for _, id := range members[k][0].Facts.Ancestors {
			parent := groupKey{process: id}
			if id == (owner.ID{}) || members[parent] == nil {
				continue
			}
			switch child := members[k]; {
			case helps(child, members[parent], dynamic):
				heads.fold(k, parent)
			case slices.IndexFunc(members[parent], isNoInspector) < 0 && slices.IndexFunc(child, isNoInspector) >= 0:
				if _, folded := heads[parent]; !folded {
					heads.fold(parent, k) // a debugger waits at the launcher of the server
				}
			}
			break
		}
	}
	foldSiblings(heads, order, members)
	foldAdapters(heads, order, members)
	for k := range heads {
		heads[k] = heads.root(k)
	}
	return heads
}

// folds maps the key of a group to a group nearer to the main process of the same server.
type folds map[groupKey]groupKey

// root returns the key of the main process of the server that a group belongs to.
func (f folds) root(k groupKey) groupKey {
	for {
		head, folded := f[k]
		if !folded {
			return k
		}
		k = head
	}
}

func (f folds) fold(k, head groupKey) {
	if k, head = f.root(k), f.root(head); k != head {
		f[k] = head
	}
}

// A siblingKey is shared by processes of one server if none descends from another. There are two cases. Each worker of
// a pre-fork server has its own socket at one address (SO_REUSEPORT), and runs the same program in the same directory.
// A few tools consist of several processes side by side.
type siblingKey struct {
	port           uint16
	addr           netip.Addr
	exe, dir, user string
	program        string
	tool           string

	relative owner.ID // a common ancestor, or one of the processes
	// The processes lost their launcher in one project, and one manager would start them again.
	orphan  bool
	manager facts.Manager
	project string
}

// siblingKeys returns all keys that a process may share with others.
func siblingKeys(listeners []Listener) (all []siblingKey) {
	p, f := listeners[0].Owner, listeners[0].Facts
	if facts.ManyProcesses(f.Tool.Name) {
		all = appendRelations(all, siblingKey{tool: f.Tool.Name}, p, f)
	}
	if p.Exe == "" {
		return all
	}
	for _, l := range listeners {
		for _, addr := range l.Addrs {
			b := siblingKey{port: l.Port, addr: addr, exe: p.Exe, dir: p.Dir, user: p.User, program: f.Program}
			all = appendRelations(all, b, p, f)
		}
	}
	return all
}

// appendRelations appends a copy of the key for each relation that a process may have to others.
func appendRelations(all []siblingKey, b siblingKey, p owner.Process, f facts.Facts) []siblingKey {
	for _, id := range append([]owner.ID{p.ID()}, f.Ancestors[:]...) {
		if b.relative = id; id != (owner.ID{}) {
			all = append(all, b)
		}
	}
	if f.Orphan {
		b.relative, b.orphan, b.manager, b.project = owner.ID{}, true, f.Manager, f.Project.Dir
		all = append(all, b)
	}
	return all
}

func foldSiblings(heads folds, order []groupKey, members map[groupKey][]Listener) {
	first := map[siblingKey]groupKey{}
	for _, k := range order {
		if k.process == (owner.ID{}) || k.port != 0 {
			continue
		}
		for _, b := range siblingKeys(members[k]) {
			if earlier, ok := first[b]; ok {
				heads.fold(k, earlier)
			} else {
				first[b] = k
			}
		}
	}
}

// foldAdapters merges each debugpy adapter with the program that it debugs. An adapter leaves the process tree of its
// program at its start, and stays in the same directory. The program may name the adapter's port.
func foldAdapters(heads folds, order []groupKey, members map[groupKey][]Listener) {
	type dirAndExe struct{ dir, exe string }
	var adapters []groupKey
	naming, at := map[uint16]groupKey{}, map[dirAndExe][]groupKey{}
	for _, k := range order {
		p, f := members[k][0].Owner, members[k][0].Facts
		switch {
		case k.process == (owner.ID{}):
			continue
		case f.Own().Name == "debugpy":
			adapters = append(adapters, k)
		case p.Dir != "":
			at[dirAndExe{p.Dir, p.Exe}] = append(at[dirAndExe{p.Dir, p.Exe}], k)
		}
		if _, named := naming[f.Debugger.Port]; !named && f.Debugger.Name == "debugpy" {
			naming[f.Debugger.Port] = k
		}
	}
	for _, k := range adapters {
		adapter := members[k][0]
		near := at[dirAndExe{adapter.Owner.Dir, adapter.Owner.Exe}]
		head, found := groupKey{}, false
		for _, l := range members[k] {
			if !found {
				head, found = naming[l.Port]
			}
		}
		if !found && adapter.Facts.Orphan && len(near) == 1 { // several candidates would be ambiguous
			head, found = near[0], true
		}
		if found && head != k {
			heads.fold(k, head)
		}
	}
}

// helps reports whether a descendant works for its ancestor and is not a server of its own.
func helps(child, parent []Listener, dynamic func(uint16) bool) bool {
	c, p := child[0].Facts, parent[0].Facts
	same := c.Tool == p.Tool && c.Tool.Kind == facts.Server && (!c.Inherited || c.Helper)
	hidden := !slices.ContainsFunc(child, func(l Listener) bool { return !dynamic(l.Port) && !l.Inspects() })
	switch {
	case slices.IndexFunc(parent, isNoInspector) < 0:
		return false
	case c.Forked && c.Ancestors[0] == parent[0].Owner.ID():
		return true // a worker of a master that listens itself, for metrics perhaps
	case c.Project.Dir != "" && c.Project.Dir != p.Project.Dir:
		return same && hidden // a Jupyter kernel works in the directory of its notebook
	}
	// A program started by a build daemon is the person's.
	return c.Helper || same || hidden && (c.Background || !p.Background)
}

func isNoInspector(l Listener) bool { return !l.Inspects() }

// OnlyInspects reports whether the server has nothing but ports for debuggers.
func (s Server) OnlyInspects() bool { return !slices.ContainsFunc(s.Parts, isNoInspector) }
