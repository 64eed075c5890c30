package explain

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/history"
	"porttray/watcher/port"
	"porttray/watcher/server"
)

// Explain answers the question. It connects to the port on this computer's own addresses, sends nothing and closes
// again. With probe it talks to the server. It binds the port for an instant, without listening. No packet leaves this
// computer.
//
// It takes about ten milliseconds. It takes 50 ms more if a server does not close in turn, a second more if connections
// get no answer, and up to three seconds more with probe.
//
// Explain returns an error only if it cannot list the listeners. Other unknown facts are missing from the answer, and
// Untold gives the reason.
func Explain(ctx context.Context, q Question, probe bool) (Answer, error) {
	system, own := port.Read(), interfaces()
	a := Answer{Asked: q.String(), Address: addressOf(ctx, q, own), Port: portOf(q.Port, system),
		anywhere: len(q.Addrs) == 0}
	now, err := watcher.LookAt(ctx, q.Port)
	if err != nil {
		return Answer{}, err
	}
	a.servers = slices.DeleteFunc(slices.Clone(now.Listeners),
		func(l server.Listener) bool { return l.Port != q.Port })
	traffic, err := watcher.ReadTraffic(ctx, q.Port)
	if err != nil {
		a.Untold = append(a.Untold, "connections: "+err.Error())
	}
	seen, err := history.Read()
	if err != nil {
		a.Untold = append(a.Untold, "earlier servers: "+err.Error())
	}
	a.bind(q.Port, traffic, system)
	a.connect(ctx, q.Port)
	a.fillListeners(ctx, now, traffic, seen, system)
	a.judgeReach(own)
	a.Listens = len(a.at()) > 0
	if probe && len(a.servers) > 0 {
		a.Probe = a.probe(ctx)
	}
	a.Trouble = a.trouble()
	a.Advice = a.advise(ctx)
	return a, nil
}

// addressOf describes the addresses in question. The interfaces are this computer's.
func addressOf(ctx context.Context, q Question, own []Interface) Address {
	a := Address{Name: q.name, Addresses: q.Addrs, Localhost: resolve(ctx, localhost)}
	if len(a.Addresses) == 0 {
		a.Addresses = []netip.Addr{v4Loopback, v6Loopback}
	}
	a.Kind, a.Interface = kindOf(a.Addresses[0], own)
	return a
}

// kindOf returns the kind of an address, and the interface that has it.
func kindOf(addr netip.Addr, own []Interface) (Kind, string) {
	switch {
	case addr.IsLoopback():
		return Loopback, ""
	case addr.IsUnspecified():
		return Wildcard, ""
	}
	for _, i := range own {
		if i.Address == addr || addr.Zone() == "" && i.Address.WithZone("") == addr {
			return Own, i.Name
		}
	}
	return Elsewhere, ""
}

// portOf describes a port number.
func portOf(number uint16, system port.System) Port {
	class := port.ClassOf(number)
	first, last := class.Range()
	p := Port{Number: number, Class: class.String(), First: first, Last: last, Service: system.Service(number),
		Ephemeral: system.Ephemeral(number), EphemeralFirst: system.First, EphemeralLast: system.Last}
	p.Reserved, _ = system.Reserved.Has(number)
	if privileged, known := system.Privileged.Has(number); known {
		p.Privileged = &privileged
	}
	return p
}

// targets returns the addresses to try: this computer's loopback addresses, its own addresses in the question, and all
// bind addresses. It skips IPv6 link-local bind addresses, because the list of listeners has no zones.
func (a *Answer) targets() []netip.Addr {
	targets := []netip.Addr{v4Loopback, v6Loopback}
	add := func(addr netip.Addr) {
		if !slices.Contains(targets, addr) {
			targets = append(targets, addr)
		}
	}
	if a.Address.Kind == Loopback || a.Address.Kind == Own {
		for _, addr := range a.Address.Addresses {
			add(addr)
		}
	}
	for _, l := range a.servers {
		for _, addr := range l.Addrs {
			if !addr.IsUnspecified() && (addr.Is4() || !addr.IsLinkLocalUnicast()) {
				add(addr)
			}
		}
	}
	return targets
}

// bind tries to bind the port.
func (a *Answer) bind(number uint16, t watcher.Traffic, system port.System) {
	for _, addr := range append(a.targets(), netip.IPv4Unspecified(), netip.IPv6Unspecified()) {
		try := system.Try(netip.AddrPortFrom(addr, number))
		b := Bind{Address: addr, Result: try.State.String(), Reusable: try.Reusable, state: try.State}
		if try.Err != nil && try.State == port.Unknown {
			b.Error = try.Err.Error()
		}
		if try.State == port.InUse {
			b.By = a.inTheWay(addr, t)
		}
		a.Binds = append(a.Binds, b)
	}
}

// inTheWay returns the owners of the listeners that block an address. Without listeners, it returns the owners of
// other sockets that block it.
func (a *Answer) inTheWay(addr netip.Addr, t watcher.Traffic) []Process {
	if len(a.servers) == 0 {
		others := slices.DeleteFunc(slices.Concat(t.Bound, t.Strays), func(s watcher.Socket) bool {
			return !s.Owner.Known() || !conflict(addr, s.Local)
		})
		return processesOf(others)
	}
	var by []Process
	for _, l := range a.servers {
		if slices.ContainsFunc(l.Addrs, func(b netip.Addr) bool { return conflict(addr, b) }) {
			by = append(by, processOf(l.Owner))
		}
	}
	return by
}

// conflict reports whether two bind addresses exclude each other on one port. An IPv6 wildcard may take IPv4 as well.
func conflict(a, b netip.Addr) bool {
	if a == netip.IPv6Unspecified() || b == netip.IPv6Unspecified() {
		return true
	}
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}

// listensAt reports whether something listens at an address.
func (a *Answer) listensAt(addr netip.Addr) bool {
	return slices.ContainsFunc(a.servers, func(l server.Listener) bool { return a.covers(l, addr) })
}

// covers reports whether a listener receives connections to an address.
func (a *Answer) covers(l server.Listener, addr netip.Addr) bool {
	addr = addr.WithZone("") // bind addresses have no zone
	for _, b := range l.Addrs {
		if b == addr || b.IsUnspecified() && b.Is4() == addr.Is4() || addr.IsUnspecified() && addr.Is4() == b.Is4() {
			return true
		}
	}
	return slices.Contains(l.Addrs, netip.IPv6Unspecified()) && addr.Is4() && a.dualStack(l)
}

// dualStack reports whether the IPv6 wildcard of a listener takes IPv4 as well. If it does, nobody else can bind an
// IPv4 address on the port.
func (a *Answer) dualStack(l server.Listener) bool {
	other := slices.ContainsFunc(a.servers, func(m server.Listener) bool {
		return m.ID() != l.ID() && slices.ContainsFunc(m.Addrs, netip.Addr.Is4)
	})
	return !other && slices.ContainsFunc(a.Binds, func(b Bind) bool {
		return b.Address == v4Loopback && b.state != port.Free && b.state != port.Lingering
	})
}

// at returns the listeners at the addresses in question. A port alone matches all addresses. A wildcard does not cover
// an address of another computer.
func (a *Answer) at() []server.Listener {
	switch {
	case a.anywhere:
		return a.servers
	case a.Address.Kind == Elsewhere:
		return nil
	}
	return slices.DeleteFunc(slices.Clone(a.servers), func(l server.Listener) bool {
		return !slices.ContainsFunc(a.Address.Addresses, func(addr netip.Addr) bool { return a.covers(l, addr) })
	})
}

// fillListeners fills in the listeners and the other sockets on the port.
func (a *Answer) fillListeners(ctx context.Context, now watcher.Snapshot, t watcher.Traffic,
	seen history.History, system port.System) {
	a.Listeners = []Holder{}
	for _, l := range a.servers {
		l.Restarts = max(l.Restarts, seen.Restarts(l))
		s := serverOf(now.Servers, l)
		h := Holder{Listener: listenerOf(l, s.Section, system), Name: l.Name()}
		if l.Container.ID == "" {
			h.NotEndable = l.Owner.Refusal
			for _, p := range facts.Chain(ctx, l.Owner) {
				h.Parents = append(h.Parents, Process{PID: p.PID, Process: p.Name})
			}
		}
		for _, m := range s.Parts {
			if m.Port != l.Port && !slices.Contains(h.Also, m.Port) {
				h.Also = append(h.Also, m.Port)
				h.Further = append(h.Further, furtherOf(listenerOf(m, s.Section, system)))
			}
		}
		if why := "the container: " + l.Untold; l.Untold != "" && !slices.Contains(a.Untold, why) {
			a.Untold = append(a.Untold, why)
		}
		slices.Sort(h.Also)
		h.Queue = queueOf(l, t)
		a.Listeners = append(a.Listeners, h)
	}
	a.Connections = t.Connected
	if t.Lingering >= 0 {
		a.Lingering = &t.Lingering
	}
	for _, u := range t.UDP {
		if !u.Remote.IsValid() { // a connected socket receives only from its peer
			a.UDP = append(a.UDP, Datagram{u.Local, processOf(u.Owner)})
		}
	}
	a.Bound, a.Outgoing = processesOf(t.Bound), processesOf(t.Strays)
	if past, ok := seen.Last(a.Port.Number); ok {
		closed := past.Closed.Truncate(time.Second)
		a.Last = &Past{past.Name, past.Project, past.Tool, past.Directory, closed, past.Reason}
	}
}

// serverOf returns the server of a listener.
func serverOf(servers []server.Server, l server.Listener) server.Server {
	for _, s := range servers {
		if slices.ContainsFunc(s.Parts, func(part server.Listener) bool { return part.ID() == l.ID() }) {
			return s
		}
	}
	return server.Alone(l)
}

// processesOf returns the owners of sockets, each process once.
func processesOf(sockets []watcher.Socket) []Process {
	var all []Process
	for _, s := range sockets {
		if p := processOf(s.Owner); !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}
