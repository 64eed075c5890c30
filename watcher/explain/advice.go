package explain

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/owner"
	"porttray/watcher/port"
)

// trouble tells what is wrong for somebody who wants to get to the address.
func (a *Answer) trouble() Trouble {
	at := a.at()
	if a.Address.Kind == Elsewhere {
		return None // that can be told of
	}
	if len(at) == 0 {
		if len(a.servers) == 0 && a.heldOtherwise() {
			return InUse
		}
		return NotRunning
	}
	if len(at) > 1 && a.ambiguous() {
		return InUse
	}
	for _, c := range a.Connects {
		if !c.Listens || !a.asks(c.Address) {
			continue
		}
		switch {
		case c.Result == NoAnswer && a.full():
			return Hangs
		case c.Result != Accepted && c.Result != Unreachable:
			return Filtered
		}
	}
	return None
}

// asks reports whether an address is one that was asked about. A wildcard stands for all, and so does a port alone.
func (a *Answer) asks(addr netip.Addr) bool {
	return a.anywhere || a.Address.Kind == Wildcard || slices.Contains(a.Address.Addresses, addr)
}

// heldOtherwise reports whether a program cannot bind the port although nothing listens on it.
func (a *Answer) heldOtherwise() bool {
	return slices.ContainsFunc(a.Binds, func(b Bind) bool { return b.state == port.InUse })
}

// ambiguous reports whether several servers listen where was asked, so that it is open which one answers: at one address, or at
// those of the name localhost, of which a browser may take either.
func (a *Answer) ambiguous() bool {
	shared := func(addrs ...netip.Addr) bool {
		return len(distinct(slices.DeleteFunc(slices.Clone(a.servers), func(l watcher.Listener) bool {
			return !slices.ContainsFunc(addrs, func(addr netip.Addr) bool { return a.covers(l, addr) })
		}))) > 1
	}
	if a.anywhere || a.Address.Name == localhost {
		return shared(a.Address.Addresses...)
	}
	return slices.ContainsFunc(a.Address.Addresses, func(addr netip.Addr) bool { return shared(addr) })
}

// distinct returns the servers that sorted listeners on one port amount to: the workers of one, or the forwarders of a container
// for IPv4 and IPv6, are one server.
func distinct(listeners []watcher.Listener) []watcher.Server {
	return watcher.Servers(listeners, func(uint16) bool { return false })
}

// full reports whether connections wait in vain to be accepted.
func (a *Answer) full() bool {
	return slices.ContainsFunc(a.Listeners, func(h Holder) bool { return h.Queue != nil && h.Queue.Full })
}

// advise returns what to do about the trouble or, if there is none, about another program that wants the port.
func (a *Answer) advise(ctx context.Context) []Advice {
	if a.Address.Kind == Elsewhere {
		return a.adviseElsewhere()
	}
	switch a.Trouble {
	case NotRunning:
		return a.adviseNotRunning()
	case Filtered:
		return a.adviseFiltered(runtime.GOOS)
	case Hangs:
		return append([]Advice{{Says: "The server is there, but accepts no connections: it hangs, is overloaded, or is stopped in a debugger. " +
			"Look at what it says in its terminal; if it does not come back, end it and start it again."}}, a.adviseStop()...)
	case InUse:
		if len(a.servers) == 0 {
			return append([]Advice{{Says: "Nothing listens, but the port is taken: " + a.takenBy() + "."}}, a.adviseOtherPort(ctx)...)
		}
		return slices.Concat([]Advice{{Says: "Several servers share the port, so which one answers depends on the address that is taken, or on chance. End the one that should not be there."}},
			a.adviseStop(), a.adviseOtherPort(ctx))
	}
	return slices.Concat(a.adviseVisit(), a.adviseStop(), a.adviseOtherPort(ctx))
}

// adviseElsewhere says what to ask instead of an address that is not this computer's.
func (a *Answer) adviseElsewhere() []Advice {
	text := "What listens at an address of another machine has to be asked there."
	if len(a.servers) > 0 {
		return []Advice{{text + " About the same port of this computer:", fmt.Sprintf("porttray explain %d", a.Port.Number)}}
	}
	return []Advice{{Says: text}}
}

// takenBy says what holds a port on which nothing listens.
func (a *Answer) takenBy() string {
	by := func(p []Process) string {
		if len(p) > 0 && p[0].PID != 0 {
			return owner.Numbered(cmp.Or(owner.Printable(p[0].Process, 30), "a process"), p[0].PID)
		}
		return "some program"
	}
	switch {
	case len(a.Bound) > 0:
		return by(a.Bound) + " has bound it and does not listen"
	case len(a.Outgoing) > 0, a.Connections > 0:
		return "it is the near end of a connection that " + by(a.Outgoing) + " has"
	}
	return "some program has bound it and does not listen"
}

// adviseNotRunning says how to get a server that is not there, or to one that is elsewhere.
func (a *Answer) adviseNotRunning() []Advice {
	var advice []Advice
	if len(a.servers) > 0 {
		l := a.servers[0]
		text := fmt.Sprintf("Nothing listens at %s, but %s does at %s.", a.where(), l.Name(), JoinAddrs(l.Addrs, " and "))
		if at := l.Loopback(); at.IsValid() {
			advice = append(advice, Advice{text + " Use that address:", addressAt(reachable(at), l)})
		} else {
			advice = append(advice, Advice{Says: text})
		}
		return advice
	}
	if a.Last != nil {
		text := a.Last.Name + " listened here last"
		if a.Last.Reason != "" {
			text += " (" + a.Last.Reason + ")"
		}
		start := Advice{Says: text + ". Start it again; where, is here:"}
		if a.Last.Directory != "" {
			start.Command = "cd " + owner.Quote(a.Last.Directory)
		} else {
			start.Says = text + ". Start it again."
		}
		advice = append(advice, start)
	} else {
		advice = append(advice, Advice{Says: "Start the server, or ask it which port it took: it says so when it starts."})
	}
	advice = append(advice, Advice{"To be told as soon as it listens:", fmt.Sprintf("porttray wait %d", a.Port.Number)})
	if a.lingers() {
		advice = append(advice, Advice{Says: "If it cannot start because the port is in use: ended connections keep it for about a minute from a program that does not set SO_REUSEADDR."})
	}
	if len(a.UDP) > 0 {
		advice = append(advice, Advice{Says: fmt.Sprintf("What is on UDP port %d is not reached by TCP: the two have nothing in common but the number.", a.Port.Number)})
	}
	if a.forbidden() {
		advice = append(advice, a.adviseForbidden(runtime.GOOS))
	}
	return advice
}

// addressAt returns the address of a listener at an IP address, as one gives it to a browser or to another client.
func addressAt(at netip.Addr, l watcher.Listener) string {
	if !l.Web() {
		return browser.AddressAt(at, l.Port)
	}
	return browser.URLAt(at, l.Port, "http")
}

// first returns the first of the listeners at an address at which something listens.
func (a *Answer) first(at netip.Addr) watcher.Listener {
	i := slices.IndexFunc(a.servers, func(l watcher.Listener) bool { return a.covers(l, at) })
	return a.servers[max(i, 0)]
}

// reachable returns the address to go to in order to get to what is bound to addr.
func reachable(addr netip.Addr) netip.Addr {
	switch addr {
	case netip.IPv4Unspecified():
		return v4Loopback
	case netip.IPv6Unspecified():
		return v6Loopback
	}
	return addr
}

// forbidden reports whether this user may not bind the port.
func (a *Answer) forbidden() bool {
	return slices.ContainsFunc(a.Binds, func(b Bind) bool { return b.state == port.NotPermitted || b.state == port.Reserved })
}

// lingers reports whether connections that have ended keep the port from some programs.
func (a *Answer) lingers() bool {
	return slices.ContainsFunc(a.Binds, func(b Bind) bool { return b.state == port.Lingering })
}

// adviseForbidden says what to do about a port that this user may not bind.
func (a *Answer) adviseForbidden(goos string) Advice {
	n := a.Port.Number
	switch {
	case a.Port.Reserved:
		return Advice{"Windows reserves this port, often for Hyper-V or WSL; a server must take another one. The reserved ranges:",
			"netsh interface ipv4 show excludedportrange protocol=tcp"}
	case goos == "linux":
		return Advice{fmt.Sprintf("A server that you start may not listen on %d. Let it take a port from 1024 up, or lower the limit until the next start of the system:", n),
			fmt.Sprintf("sudo sysctl net.ipv4.ip_unprivileged_port_start=%d", n)}
	}
	return Advice{Says: fmt.Sprintf("A server that you start may not listen on %d here. Let it take a port from 1024 up.", n)}
}

// adviseFiltered says where to look for what keeps connections from a listener.
func (a *Answer) adviseFiltered(goos string) []Advice {
	text := "Something listens, but connections to it are dropped or turned away: a firewall or a filter is in the way."
	if goos != "linux" {
		text = "Something listens, but connections to it get no answer: a firewall or a filter is in the way, or the server hangs."
	}
	advice := []Advice{{Says: text}}
	switch goos {
	case "linux":
		advice = append(advice,
			Advice{"To see the rules:", "sudo nft list ruleset"},
			Advice{"or, where iptables is used:", "sudo iptables -S; sudo ip6tables -S"})
	case "windows":
		advice = append(advice, Advice{"To see the rules:", "netsh advfirewall firewall show rule name=all"})
	case "darwin":
		advice = append(advice, Advice{"To see the rules:", "sudo pfctl -s rules"})
	}
	return advice
}

// adviseVisit says where a server that is well answers, if that is not where everybody would look.
func (a *Answer) adviseVisit() []Advice {
	for _, c := range a.Connects {
		switch {
		case c.Result != Accepted || !c.Listens:
		case a.Probe != nil && a.Probe.silent():
			return []Advice{{Says: "It takes connections, and says nothing: it hangs or is stopped, or it speaks what porttray does not."}}
		case a.Risk != "":
			return []Advice{{Says: "It listens, and takes connections, and so it may do from the network. If that is not meant, start it again bound to 127.0.0.1."}}
		case c.Address == v4Loopback || !a.anywhere:
			return []Advice{{Says: "Nothing is wrong: it listens, and takes connections."}}
		default:
			return []Advice{{"Nothing is wrong: it listens, and takes connections, though not at 127.0.0.1. Use its address:",
				addressAt(c.Address, a.first(c.Address))}}
		}
	}
	return []Advice{{Says: "Nothing is wrong: it listens."}}
}

// adviseStop says how to end what has the port.
func (a *Answer) adviseStop() []Advice {
	servers := distinct(a.servers)
	if len(servers) > 1 {
		var advice []Advice
		for _, l := range servers {
			if l.Owner.Known() && (l.Owner.Refusal == "" || l.Container.ID != "") {
				command := fmt.Sprintf("porttray stop %d --pid %d", l.Port, l.Owner.PID)
				if at := l.Literal(servers); at.IsValid() {
					command = "porttray stop " + netip.AddrPortFrom(at, l.Port).String()
				}
				advice = append(advice, Advice{"To end " + owner.Numbered(l.Name(), l.Owner.PID) + ":", command})
			}
		}
		return advice
	}
	l := servers[0]
	const begin = "If a program says that the port is already in use, it is by this one. To end it:"
	switch manager := l.Facts.Manager; {
	case l.Container.ID != "":
		return []Advice{{begin, fmt.Sprintf("porttray stop %d", l.Port)}}
	case manager.Name != "":
		return []Advice{{begin, managerCommand(runtime.GOOS, manager)}}
	case !l.Owner.Known() && l.Owner.User != "":
		return []Advice{{"If a program says that the port is already in use, it is by this one. It is another user's; to see more:",
			fmt.Sprintf("sudo porttray explain %d", l.Port)}}
	case !l.Owner.Known():
		return nil
	case l.PodmanSocket() != "":
		return []Advice{{"It is a container of Podman, which tells of its containers through a socket only. To start that (with enable --now instead of start for good):",
			l.PodmanSocket()}}
	case l.Owner.Refusal != "":
		return []Advice{{Says: "If a program says that the port is already in use, it is by this one, which porttray does not stop: " + l.Owner.Refusal + "."}}
	}
	return []Advice{{begin, fmt.Sprintf("porttray stop %d", l.Port)}}
}

// managerCommand returns the command that has a service manager stop a service.
func managerCommand(goos string, m owner.Manager) string {
	name := owner.Quote(m.Name)
	switch {
	case goos == "windows":
		return "sc stop " + name
	case goos == "darwin":
		return "launchctl bootout gui/$(id -u)/" + name
	case m.System:
		return "sudo systemctl stop " + name
	}
	return "systemctl --user stop " + name
}

// adviseOtherPort says which ports are free and, where it is known, how such a server is told to take one.
func (a *Answer) adviseOtherPort(ctx context.Context) []Advice {
	next := a.Port.Number + 1
	if next < 1024 {
		next = 8000 // what everybody may bind
	}
	free, _ := port.FreeFrom(next, 3) // as many as could be tried
	if len(free) == 0 {
		return nil
	}
	var names []string
	for _, p := range free {
		names = append(names, fmt.Sprint(p))
	}
	advice := Advice{Says: "Free instead: " + strings.Join(names, ", ") + "."}
	for _, l := range a.servers {
		if command := otherPort(l, free[0]); command != "" {
			advice = Advice{strings.TrimSuffix(advice.Says, ".") + ". Another " + toolName(l) + " takes one by:", command}
			break
		}
	}
	return []Advice{advice}
}

func toolName(l watcher.Listener) string {
	if l.Container.ID != "" {
		return "container"
	}
	return l.Facts.Tool.Name
}

// where names what was asked about.
func (a *Answer) where() string {
	if a.Address.Name != "" {
		return a.Address.Name
	}
	return JoinAddrs(a.Address.Addresses, " and ")
}

// JoinAddrs returns addresses as text, with a separator between them.
func JoinAddrs(addrs []netip.Addr, separator string) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, separator)
}
