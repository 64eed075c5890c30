package watcher

import (
	"net/netip"
	"runtime"
	"slices"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// A publication is a port that a container publishes.
type publication struct {
	container string
	port      uint16
}

// A means is a way to reach a published port.
type means int

const (
	bySocket   means = iota + 1 // a process listens
	byRedirect                  // the system redirects connections
)

// withContainers adds the engines' answers to the listeners. It sets the container of each listener that publishes a
// port, and appends published ports without a listening process. It covers only the listeners that the engines were
// asked for, and it changes the given list.
//
// The socket list and the engines' list are from different moments. An engine lists a port a moment longer than its
// forwarder holds it. So a port that once had a socket does not count as redirected. A socket may also have come after
// the scan. So only a scan that began after the answer can show first that a port has no socket.
func (n *naming) withContainers(listeners []server.Listener, began time.Time) []server.Listener {
	var redirected []server.Listener
	for _, p := range n.answered.Published {
		key := publication{p.Container.ID, p.Port}
		if n.attach(server.OnPort(listeners, p.Port), p) {
			n.by[key] = bySocket
		} else if redirects(p) && (n.by[key] == byRedirect || n.by[key] == 0 && began.After(n.at)) {
			n.by[key] = byRedirect
			redirected = addRedirected(redirected, p)
		}
	}
	n.attachHosted(listeners)
	all := append(listeners, redirected...)
	noteUntold(all, n.answered)
	if len(redirected) > 0 {
		slices.SortFunc(all, server.Listener.Compare)
	}
	return all
}

// premature reports whether withContainers would add ports if the scan had begun after the engines' answer.
func (n *naming) premature(listeners []server.Listener, began time.Time) bool {
	return !began.After(n.at) && slices.ContainsFunc(n.answered.Published, func(p engine.Published) bool {
		return redirects(p) && n.by[publication{p.Container.ID, p.Port}] == 0 &&
			!slices.ContainsFunc(server.OnPort(listeners, p.Port),
				func(l server.Listener) bool { return reaches(l, p.Addr) })
	})
}

// attach sets the container in the listeners that publish its port. It returns false if nothing listens there.
func (n *naming) attach(onPort []server.Listener, p engine.Published) (found bool) {
	for i, l := range onPort {
		if !reaches(l, p.Addr) {
			continue
		}
		found = true
		if l.Forwardable() && n.asked[l.ID()] {
			onPort[i].Container, onPort[i].Inside = p.Container, p.Inside
			onPort[i].Facts = facts.Facts{Tool: facts.ImageTool(p.Container.Image)}
		}
	}
	return found
}

// attachHosted sets the container in listeners of processes in a container with this computer's network.
func (n *naming) attachHosted(listeners []server.Listener) {
	for i, l := range listeners {
		if l.Facts.Container == "" || !n.asked[l.ID()] || l.Owner.Forwards() {
			continue
		}
		at := slices.IndexFunc(n.answered.Others, func(c engine.Container) bool { return c.ID == l.Facts.Container })
		if at < 0 {
			continue
		}
		listeners[i].Container = n.answered.Others[at]
		image := facts.ImageTool(listeners[i].Container.Image)
		if l.Facts.Tool.Kind != facts.Server && image.Name != "" {
			listeners[i].Facts.Tool, listeners[i].Facts.Inherited = image, false
		}
	}
}

// noteUntold sets Untold if the engine of a listener's container, or possible container, cannot answer.
func noteUntold(listeners []server.Listener, answered engine.List) {
	for i := range listeners {
		l := &listeners[i]
		switch {
		case l.Container.ID != "":
			if err := failed(answered, l.Container.Endpoint); err != nil {
				l.Untold = err.Error()
			}
		case l.Owner.ForPodman() && !l.Owner.Foreign && !answered.Podman():
			l.Untold = server.WithoutPodman(engine.PodmanSocket(l.Owner.User == "0"))
		case l.Owner.Forwards() && answered.Err() != nil:
			l.Untold = answered.Err().Error()
		}
	}
}

// reaches reports whether a listener can publish a port at an address. An engine in a virtual machine gives that
// machine's addresses. If it publishes a port on all of them, a forwarder may hold the port on loopback here.
func reaches(l server.Listener, at netip.Addr) bool {
	return slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool {
		return a == at || a.IsUnspecified() || at.IsUnspecified() && l.Owner.Forwards()
	})
}

// redirects reports whether a published port without a socket can still be reached over loopback. On Linux the kernel
// may redirect it. Elsewhere containers run in a virtual machine, and its forwarder is only late.
func redirects(p engine.Published) bool {
	return runtime.GOOS == "linux" && (p.Addr.IsLoopback() || p.Addr.IsUnspecified())
}

// addRedirected adds a published port to the list, or its address to the entry with the same ID.
func addRedirected(list []server.Listener, p engine.Published) []server.Listener {
	l := server.Listener{Port: p.Port, Addrs: []netip.Addr{p.Addr}, Container: p.Container, Inside: p.Inside,
		Redirected: true}
	l.Facts.Tool = facts.ImageTool(p.Container.Image)
	i := slices.IndexFunc(list, func(m server.Listener) bool { return m.ID() == l.ID() })
	if i < 0 {
		return append(list, l)
	}
	list[i].Addrs = append(list[i].Addrs, p.Addr)
	slices.SortFunc(list[i].Addrs, netip.Addr.Compare)
	list[i].Addrs = slices.Compact(list[i].Addrs)
	return list
}
