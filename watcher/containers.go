package watcher

import (
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// A publication is a port that a container publishes.
type publication struct {
	container string
	port      uint16
}

// A means is that by which a published port can be reached.
type means int

const (
	bySocket   means = iota + 1 // something listens
	byRedirect                  // the system passes on what comes in
)

// withContainers returns the listeners together with what the engines answered: each that they were asked for with the
// container that publishes its port, and the ports that are published without any process that listens. It changes the list
// that it is given.
//
// The list of sockets and that of the engines are of different moments. An engine lists a container's ports for a moment longer
// than its forwarder holds them, so what had a socket once is not taken for a port without one; and what an engine lists can
// have a socket that came after the scan, so only a scan that began after the answer can show that there is none at first.
func (n *naming) withContainers(listeners []Listener, began time.Time) []Listener {
	var redirected []Listener
	for _, p := range n.answered.Published {
		key := publication{p.Container.ID, p.Port}
		if n.attach(onPort(listeners, p.Port), p) {
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
		slices.SortFunc(all, Listener.compare)
	}
	return all
}

// premature reports whether withContainers would add ports if the scan had begun after the engines' answer.
func (n *naming) premature(listeners []Listener, began time.Time) bool {
	return !began.After(n.at) && slices.ContainsFunc(n.answered.Published, func(p engine.Published) bool {
		return redirects(p) && n.by[publication{p.Container.ID, p.Port}] == 0 &&
			!slices.ContainsFunc(onPort(listeners, p.Port), func(l Listener) bool { return reaches(l, p.Addr) })
	})
}

// attach notes the container in those of the listeners by which its port is published. It is false if nothing listens there.
func (n *naming) attach(onPort []Listener, p engine.Published) (found bool) {
	for i, l := range onPort {
		if !reaches(l, p.Addr) {
			continue
		}
		found = true
		if forwardable(l) && n.asked[l.ID()] {
			onPort[i].Container, onPort[i].Inside = p.Container, p.Inside
			onPort[i].Facts = owner.Facts{Tool: owner.ImageTool(p.Container.Image)}
		}
	}
	return found
}

// attachHosted notes the container in the listeners of processes in one that uses this computer's network.
func (n *naming) attachHosted(listeners []Listener) {
	for i, l := range listeners {
		if l.Facts.Container == "" || !n.asked[l.ID()] || l.Owner.Forwards() {
			continue
		}
		at := slices.IndexFunc(n.answered.Others, func(c engine.Container) bool { return c.ID == l.Facts.Container })
		if at < 0 {
			continue
		}
		listeners[i].Container = n.answered.Others[at]
		if image := owner.ImageTool(listeners[i].Container.Image); l.Facts.Tool.Kind != owner.Server && image.Name != "" {
			listeners[i].Facts.Tool, listeners[i].Facts.Inherited = image, false
		}
	}
}

// Hosted reports whether a process in a container that uses this computer's network listens. Its port is not published.
func (l Listener) Hosted() bool { return l.Container.ID != "" && l.Facts.Container == l.Container.ID }

// noteUntold says of each listener that belongs to a container, or may do so, why its engine cannot tell.
func noteUntold(listeners []Listener, answered engine.List) {
	for i := range listeners {
		l := &listeners[i]
		switch {
		case l.Container.ID != "":
			if err := failed(answered, l.Container.Endpoint); err != nil {
				l.Untold = err.Error()
			}
		case l.Owner.ForPodman() && !l.Owner.Foreign && !answered.Podman():
			l.Untold = noPodman + engine.PodmanSocket(l.Owner.User == "0")
		case l.Owner.Forwards() && answered.Err() != nil:
			l.Untold = answered.Err().Error()
		}
	}
}

const noPodman = "No Podman socket: "

// PodmanSocket returns the command that has Podman tell of the container behind l, where it does not because it has no socket. It is
// empty for all others.
func (l Listener) PodmanSocket() string {
	if command, ok := strings.CutPrefix(l.Untold, noPodman); ok {
		return command
	}
	return ""
}

// reaches reports whether a listener is one by which a port can be published at an address. An engine in a virtual machine means
// that machine's addresses: what it publishes on all of them, a forwarder may hold on loopback here.
func reaches(l Listener, at netip.Addr) bool {
	return slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool {
		return a == at || a.IsUnspecified() || at.IsUnspecified() && l.Owner.Forwards()
	})
}

// redirects reports whether a port that is published without a socket can be reached over loopback all the same. That is so
// where the kernel redirects it, which is on Linux only; elsewhere containers are in a VM, and its forwarder is just late.
func redirects(p engine.Published) bool {
	return runtime.GOOS == "linux" && (p.Addr.IsLoopback() || p.Addr.IsUnspecified())
}

// addRedirected adds a published port to the one with the same name, or as a new one.
func addRedirected(list []Listener, p engine.Published) []Listener {
	l := Listener{Port: p.Port, Addrs: []netip.Addr{p.Addr}, Container: p.Container, Inside: p.Inside, Redirected: true}
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
