package watcher

import (
	"slices"

	"porttray/watcher/owner"
)

// A kin is what the listeners of one server have in common at the least: their process, their container, or, where the
// container behind it is not known, their port.
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
	}
	return kin{process: l.Owner.ID()}
}

// families returns sorted listeners by the servers that they belong to, the main process's first.
func families(listeners []Listener, dynamic func(uint16) bool) [][]Listener {
	var order []kin
	members := map[kin][]Listener{}
	for _, l := range listeners {
		k := kinOf(l)
		if members[k] == nil {
			order = append(order, k)
		}
		members[k] = append(members[k], l)
	}
	heads := headsOf(order, members, dynamic)
	var families [][]Listener
	at := map[kin]int{}
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
	heads := map[kin]kin{}
	for _, k := range order {
		for _, id := range members[k][0].Facts.Ancestors {
			parent := kin{process: id}
			if id == (owner.ID{}) || members[parent] == nil {
				continue
			}
			switch child := members[k]; {
			case helps(child, members[parent], dynamic):
				heads[k] = parent
			case slices.IndexFunc(members[parent], isNoInspector) < 0 && slices.IndexFunc(child, isNoInspector) >= 0:
				heads[parent] = k // a debugger waits at the launcher of the server
			}
			break
		}
	}
	for k, head := range heads { // a helper of a helper
		for range len(heads) {
			next, ok := heads[head]
			if !ok {
				break
			}
			head = next
		}
		heads[k] = head
	}
	return heads
}

// helps reports whether a process that descends from another one works for it rather than being a server of its own.
func helps(child, parent []Listener, dynamic func(uint16) bool) bool {
	c, p := child[0].Facts, parent[0].Facts
	if slices.IndexFunc(parent, isNoInspector) < 0 || c.Project.Dir != "" && c.Project.Dir != p.Project.Dir {
		return false
	}
	if c.Helper || c.Tool == p.Tool && c.Tool.Kind == owner.Server && !c.Inherited {
		return true
	}
	return !slices.ContainsFunc(child, func(l Listener) bool { return !dynamic(l.Port) && !l.Inspects() })
}

func isNoInspector(l Listener) bool { return !l.Inspects() }
