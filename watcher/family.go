package watcher

import (
	"slices"

	"porttray/watcher/owner"
)

// A kin is what the listeners of one server have in common at the least: their process, their container, or, where the
// container behind it is not known, their port. A process that holds sockets for several servers has one for each port.
type kin struct {
	process   owner.ID
	container string
	forwarder string
	port      uint16
}

func kinOf(l Listener) kin {
	switch {
	case l.Container.ID != "":
		return kin{container: l.Container.ID}
	case l.Owner.Forwards():
		return kin{forwarder: l.Owner.Name, port: l.Port} // one process may forward IPv4, and another one IPv6
	case !l.Owner.Known():
		return kin{port: l.Port}
	case l.Facts.Holder:
		return kin{process: l.Owner.ID(), port: l.Port}
	}
	return kin{process: l.Owner.ID()}
}

// families returns sorted listeners by the servers that they belong to, the main process's first.
func families(listeners []Listener, dynamic func(uint16) bool) [][]Listener {
	order, members := make([]kin, 0, len(listeners)), make(map[kin][]Listener, len(listeners))
	for i, l := range listeners {
		k := kinOf(l)
		if members[k] == nil {
			order = append(order, k)
			members[k] = listeners[i : i+1 : i+1] // most have one, which need not be copied
		} else {
			members[k] = append(members[k], l)
		}
	}
	heads := headsOf(order, members, dynamic)
	families, at := make([][]Listener, 0, len(order)), make(map[kin]int, len(order))
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

// headsOf returns for the kin that are part of another server which one that is.
func headsOf(order []kin, members map[kin][]Listener, dynamic func(uint16) bool) map[kin]kin {
	heads := folds{}
	for _, k := range order {
		for _, id := range members[k][0].Facts.Ancestors {
			parent := kin{process: id}
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

// folds are the kin that are part of another server, each with one that is nearer to its main process.
type folds map[kin]kin

// root returns the main process of the server that a kin belongs to.
func (f folds) root(k kin) kin {
	for {
		head, folded := f[k]
		if !folded {
			return k
		}
		k = head
	}
}

// fold makes one server of two.
func (f folds) fold(k, head kin) {
	if k, head = f.root(k), f.root(head); k != head {
		f[k] = head
	}
}

// foldSiblings makes one server of the processes that share the work. Each worker of a pre-fork server has a socket of its own on
// one port (SO_REUSEPORT), and a few tools consist of several processes beside each other.
func foldSiblings(heads folds, order []kin, members map[kin][]Listener) {
	onPort, byTool := map[uint16][]kin{}, map[string][]kin{}
	for _, k := range order {
		if k.process == (owner.ID{}) || k.port != 0 {
			continue
		}
		for _, l := range members[k] {
			for _, earlier := range onPort[l.Port] {
				if earlier != k && colleagues(members[earlier], members[k], l.Port) {
					heads.fold(k, earlier)
					break
				}
			}
			onPort[l.Port] = append(onPort[l.Port], k)
		}
		tool := members[k][0].Facts.Tool.Name
		if !owner.ManyProcesses(tool) {
			continue
		}
		for _, earlier := range byTool[tool] {
			if related(members[earlier][0], members[k][0]) {
				heads.fold(k, earlier)
				break
			}
		}
		byTool[tool] = append(byTool[tool], k)
	}
}

// colleagues reports whether two processes listen on one port as workers of one server: at the same address, with the same
// program in the same directory, and started by the same process.
func colleagues(a, b []Listener, port uint16) bool {
	p, q := a[0].Owner, b[0].Owner
	if p.Exe == "" || p.Exe != q.Exe || p.Dir != q.Dir || p.User != q.User || !related(a[0], b[0]) {
		return false
	}
	return slices.ContainsFunc(a, func(l Listener) bool {
		return l.Port == port && slices.ContainsFunc(b, func(m Listener) bool { return m.Port == port && overlap(l.Addrs, m.Addrs) })
	})
}

// related reports whether two processes have an ancestor in common, one descends from the other, or they were left behind by one
// that has ended.
func related(a, b Listener) bool {
	p, q := a.Facts, b.Facts
	if p.Orphan && q.Orphan {
		return p.Manager == q.Manager && p.Project.Dir == q.Project.Dir
	}
	line := append([]owner.ID{a.Owner.ID()}, p.Ancestors[:]...)
	return slices.ContainsFunc(append([]owner.ID{b.Owner.ID()}, q.Ancestors[:]...), func(id owner.ID) bool {
		return id != (owner.ID{}) && slices.Contains(line, id)
	})
}

// foldAdapters finds the programs that debugpy's adapters wait for debuggers of. An adapter leaves its program as soon as it has
// started, and stays in its directory. The program may name its port.
func foldAdapters(heads folds, order []kin, members map[kin][]Listener) {
	for _, k := range order {
		adapter := members[k][0]
		if k.process == (owner.ID{}) || adapter.Facts.Own().Name != "debugpy" {
			continue
		}
		var named, near []kin
		for _, other := range order {
			switch l := members[other][0]; {
			case other == k || other.process == (owner.ID{}):
			case l.Facts.Debugger.Name == "debugpy" && hasPort(members[k], l.Facts.Debugger.Port):
				named = append(named, other)
			case adapter.Facts.Orphan && l.Owner.Dir != "" && l.Owner.Dir == adapter.Owner.Dir && l.Owner.Exe == adapter.Owner.Exe &&
				l.Facts.Own().Name != "debugpy":
				near = append(near, other)
			}
		}
		if len(named) == 0 && len(near) == 1 { // of several nobody knows which
			named = near
		}
		if len(named) > 0 {
			heads.fold(k, named[0])
		}
	}
}

func hasPort(listeners []Listener, port uint16) bool {
	return slices.ContainsFunc(listeners, func(l Listener) bool { return l.Port == port })
}

// helps reports whether a process that descends from another one works for it rather than being a server of its own.
func helps(child, parent []Listener, dynamic func(uint16) bool) bool {
	c, p := child[0].Facts, parent[0].Facts
	same := c.Tool == p.Tool && c.Tool.Kind == owner.Server && !c.Inherited
	hidden := !slices.ContainsFunc(child, func(l Listener) bool { return !dynamic(l.Port) && !l.Inspects() })
	switch {
	case slices.IndexFunc(parent, isNoInspector) < 0:
		return false
	case c.Project.Dir != "" && c.Project.Dir != p.Project.Dir:
		return same && hidden // a kernel of Jupyter works where its notebook lies
	}
	// What a build daemon runs is the person's.
	return c.Helper || same || hidden && (c.Background || !p.Background)
}

func isNoInspector(l Listener) bool { return !l.Inspects() }
