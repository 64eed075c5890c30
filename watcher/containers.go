package watcher

import (
	"net/netip"
	"runtime"
	"slices"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// withContainers returns the listeners together with what the engines answered: each that may be a container's with the
// container that publishes its port, and the ports that are published without any process that listens. It changes the list
// that it is given.
//
// An engine lists a container's ports for a moment longer than its forwarder holds them. So what had a socket once, which is noted
// in held, is not taken for a port without one.
func withContainers(listeners []Listener, answered engine.List, held map[publication]bool) []Listener {
	var redirected []Listener
	for _, p := range answered.Published {
		key := publication{p.Container.ID, p.Port}
		if attach(onPort(listeners, p.Port), p) {
			held[key] = true
		} else if redirects(p) && !held[key] {
			redirected = addRedirected(redirected, p)
		}
	}
	all := append(listeners, redirected...)
	noteUnasked(all, answered)
	if len(redirected) > 0 {
		slices.SortFunc(all, Listener.compare)
	}
	return all
}

// A publication is a port that a container publishes.
type publication struct {
	container string
	port      uint16
}

// attach notes the container in those of the listeners by which its port is published. It is false if nothing listens there.
func attach(onPort []Listener, p engine.Published) (found bool) {
	for i, l := range onPort {
		if !reaches(l.Addrs, p.Addr) {
			continue
		}
		found = true
		if forwardable(l) {
			onPort[i].Container, onPort[i].Facts = p.Container, owner.Facts{Tool: owner.ImageTool(p.Container.Image)}
		}
	}
	return found
}

// noteUnasked says of each listener that belongs to a container, or may do so, why its engine cannot tell.
func noteUnasked(listeners []Listener, answered engine.List) {
	for i := range listeners {
		l := &listeners[i]
		switch {
		case l.Container.ID != "":
			for _, f := range answered.Failed {
				if f.Endpoint == l.Container.Endpoint {
					l.Unasked = f.Err.Error()
				}
			}
		case l.Owner.Forwards() && answered.Err() != nil:
			l.Unasked = answered.Err().Error()
		}
	}
}

// reaches reports whether sockets with those bind addresses are what a port is published on at an address.
func reaches(addrs []netip.Addr, at netip.Addr) bool {
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool {
		return a == at || a.IsUnspecified() && (a.Is6() || at.Is4()) || at.IsUnspecified() && at.Is4() == a.Is4()
	})
}

// redirects reports whether a port that is published without a socket can be reached over loopback all the same. That is so
// where the kernel redirects it, which is on Linux only; elsewhere containers are in a VM, and its forwarder is just late.
func redirects(p engine.Published) bool {
	return runtime.GOOS == "linux" && (p.Addr.IsLoopback() || p.Addr.IsUnspecified())
}

// addRedirected adds a published port to the one with the same name, or as a new one.
func addRedirected(list []Listener, p engine.Published) []Listener {
	l := Listener{Port: p.Port, Addrs: []netip.Addr{p.Addr}, Container: p.Container, Redirected: true}
	l.Facts.Tool = owner.ImageTool(p.Container.Image)
	i := slices.IndexFunc(list, func(m Listener) bool { return m.ID() == l.ID() })
	if i < 0 {
		return append(list, l)
	}
	list[i].Addrs = append(list[i].Addrs, p.Addr)
	slices.SortFunc(list[i].Addrs, netip.Addr.Compare)
	list[i].Addrs = slices.Compact(list[i].Addrs)
	return list
}
