package explain

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"

	"porttray/watcher/browser"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
)

// trouble returns the problem for a person who wants to reach the address.
func (a *Answer) trouble() Trouble {
	at := a.at()
	if a.Address.Kind == Elsewhere {
		return None // porttray cannot judge another machine
	}
	if len(at) == 0 {
		if len(a.servers) == 0 && a.inUse() {
			return InUse
		}
		return NotRunning
	}
	if len(at) > 1 && a.ambiguous() {
		return InUse
	}
	for _, c := range a.Connects {
		if !c.Listens || !a.includes(c.Address) {
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

// includes reports whether the question includes an address. A wildcard or a port alone includes all addresses.
func (a *Answer) includes(addr netip.Addr) bool {
	return a.anywhere || a.Address.Kind == Wildcard || slices.Contains(a.Address.Addresses, addr)
}

// inUse reports whether the system refused to bind the port because it is in use.
func (a *Answer) inUse() bool {
	return slices.ContainsFunc(a.Binds, func(b Bind) bool { return b.state == port.InUse })
}

// ambiguous reports whether it is unclear which of several servers answers. They share one address, or the addresses of
// the name localhost: a browser may take either one.
func (a *Answer) ambiguous() bool {
	shared := func(addrs ...netip.Addr) bool {
		return len(distinct(slices.DeleteFunc(slices.Clone(a.servers), func(l server.Listener) bool {
			return !slices.ContainsFunc(addrs, func(addr netip.Addr) bool { return a.covers(l, addr) })
		}))) > 1
	}
	if a.anywhere || a.Address.Name == localhost {
		return shared(a.Address.Addresses...)
	}
	return slices.ContainsFunc(a.Address.Addresses, func(addr netip.Addr) bool { return shared(addr) })
}

// distinct groups sorted listeners on one port into servers. The workers of a server are one server, and so are the
// forwarders of a container for IPv4 and IPv6.
func distinct(listeners []server.Listener) []server.Server {
	return server.Servers(listeners, func(uint16) bool { return false })
}

// full reports whether the queue of a listener is full.
func (a *Answer) full() bool {
	return slices.ContainsFunc(a.Listeners, func(h Holder) bool { return h.Queue != nil && h.Queue.Full })
}

// advise returns the steps against the trouble. Without trouble, it returns steps for another program that wants the
// port.
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
		hangs := "The server listens, but accepts no connections. It hangs, is overloaded, or is stopped in a " +
			"debugger. Check its output. If it does not recover, end it and start it again."
		return append([]Advice{{Says: hangs}}, a.adviseStop()...)
	case InUse:
		if len(a.servers) == 0 {
			taken := Advice{Says: "Nothing listens, but the port is taken: " + a.takenBy() + "."}
			return append([]Advice{taken}, a.adviseOtherPort(ctx)...)
		}
		shared := "Several servers share the port. The address, or chance, decides which one answers. End " +
			"the wrong one."
		return slices.Concat([]Advice{{Says: shared}}, a.adviseStop(), a.adviseOtherPort(ctx))
	}
	return slices.Concat(a.adviseVisit(), a.adviseStop(), a.adviseOtherPort(ctx))
}

// adviseElsewhere advises about an address that is not this computer's.
func (a *Answer) adviseElsewhere() []Advice {
	text := "The address is not on this computer. Run porttray on the computer that has it."
	if len(a.servers) > 0 {
		command := fmt.Sprintf("porttray explain %d", a.Port.Number)
		return []Advice{{text + " For the same port on this computer:", command}}
	}
	return []Advice{{Says: text}}
}

// takenBy names the holder of a port without a listener.
func (a *Answer) takenBy() string {
	by := func(p []Process) string {
		if len(p) > 0 && p[0].PID != 0 {
			return owner.Numbered(cmp.Or(owner.Printable(p[0].Process, 30), "a process"), p[0].PID)
		}
		return "some program"
	}
	switch {
	case len(a.Bound) > 0:
		return by(a.Bound) + " has bound it, but does not listen"
	case len(a.Outgoing) > 0, a.Connections > 0:
		return by(a.Outgoing) + " uses it for a connection"
	}
	return "some program has bound it, but does not listen"
}

// adviseNotRunning says how to start the server, or how to reach it at its address.
func (a *Answer) adviseNotRunning() []Advice {
	var advice []Advice
	if len(a.servers) > 0 {
		l := a.servers[0]
		text := fmt.Sprintf("Nothing listens at %s, but %s does at %s.",
			a.where(), l.Name(), JoinAddrs(l.Addrs, " and "))
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
		start := Advice{Says: text + ". Start it again in its directory:"}
		if a.Last.Directory != "" {
			start.Command = "cd " + facts.Quote(a.Last.Directory)
		} else {
			start.Says = text + ". Start it again."
		}
		advice = append(advice, start)
	} else {
		advice = append(advice, Advice{Says: "Start the server. If it runs already, its output names its port."})
	}
	advice = append(advice, Advice{"To wait until it listens:", fmt.Sprintf("porttray wait %d", a.Port.Number)})
	if a.lingers() {
		advice = append(advice, Advice{Says: "If it cannot start because the port is in use, wait a minute. " +
			"Ended connections block the port for programs that do not set SO_REUSEADDR."})
	}
	if len(a.UDP) > 0 {
		advice = append(advice, Advice{Says: fmt.Sprintf("A program uses UDP port %d. TCP does not reach it: "+
			"the two ports share only the number.", a.Port.Number)})
	}
	if a.forbidden() {
		advice = append(advice, a.adviseForbidden(runtime.GOOS))
	}
	return advice
}

// addressAt returns the address of a listener for its clients: a URL for a browser, else an address and port.
func addressAt(at netip.Addr, l server.Listener) string {
	if !l.Web() {
		return browser.AddressAt(at, l.Port)
	}
	return browser.URLAt(at, l.Port, "http")
}

// first returns the first listener at an address. Something must listen there.
func (a *Answer) first(at netip.Addr) server.Listener {
	i := slices.IndexFunc(a.servers, func(l server.Listener) bool { return a.covers(l, at) })
	return a.servers[max(i, 0)]
}

// reachable returns the address to connect to for the bind address addr.
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
	return slices.ContainsFunc(a.Binds, func(b Bind) bool {
		return b.state == port.NotPermitted || b.state == port.Reserved
	})
}

// lingers reports whether ended connections block the port for some programs.
func (a *Answer) lingers() bool {
	return slices.ContainsFunc(a.Binds, func(b Bind) bool { return b.state == port.Lingering })
}

// adviseForbidden advises about a port that this user may not bind.
func (a *Answer) adviseForbidden(goos string) Advice {
	n := a.Port.Number
	switch {
	case a.Port.Reserved:
		return Advice{"Windows reserves this port, often for Hyper-V or WSL. Use another port. " +
			"To list the reserved ranges:", "netsh interface ipv4 show excludedportrange protocol=tcp"}
	case goos == "linux":
		text := "Your servers may not listen on %d. Use a port from 1024 up, or lower the limit until the next reboot:"
		return Advice{fmt.Sprintf(text, n), fmt.Sprintf("sudo sysctl net.ipv4.ip_unprivileged_port_start=%d", n)}
	}
	return Advice{Says: fmt.Sprintf("Your servers may not listen on %d here. Use a port from 1024 up.", n)}
}

// adviseFiltered says how to find the filter that blocks connections to a listener.
func (a *Answer) adviseFiltered(goos string) []Advice {
	text := "Something listens, but connections to it are dropped or rejected. A firewall or filter blocks them."
	if goos != "linux" {
		text = "Something listens, but connections to it get no answer. " +
			"A firewall or filter blocks them, or the server hangs."
	}
	advice := []Advice{{Says: text}}
	switch goos {
	case "linux":
		advice = append(advice,
			Advice{"To see the rules:", "sudo nft list ruleset"},
			Advice{"If iptables is used:", "sudo iptables -S; sudo ip6tables -S"})
	case "windows":
		advice = append(advice, Advice{"To see the rules:", "netsh advfirewall firewall show rule name=all"})
	case "darwin":
		advice = append(advice, Advice{"To see the rules:", "sudo pfctl -s rules"})
	}
	return advice
}

// adviseVisit advises about a server that accepts connections. It gives the address if that is not 127.0.0.1.
func (a *Answer) adviseVisit() []Advice {
	for _, c := range a.Connects {
		switch {
		case c.Result != Accepted || !c.Listens:
		case a.Probe != nil && a.Probe.silent():
			return []Advice{{Says: "It accepts connections, but does not answer. It hangs, is stopped, " +
				"or uses a protocol that porttray does not know."}}
		case a.Risk != "":
			return []Advice{{Says: "It listens and accepts connections, maybe from the network too. " +
				"If you do not want that, bind it to 127.0.0.1 and start it again."}}
		case c.Address == v4Loopback || !a.anywhere:
			return []Advice{{Says: "Nothing is wrong: it listens and accepts connections."}}
		default:
			return []Advice{{"Nothing is wrong: it listens and accepts connections, but not at 127.0.0.1. " +
				"Use its address:", addressAt(c.Address, a.first(c.Address))}}
		}
	}
	return []Advice{{Says: "Nothing is wrong: it listens."}}
}

// adviseStop says how to end the servers on the port.
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
				text := "To end " + owner.Numbered(l.Name(), l.Owner.PID) + ":"
				advice = append(advice, Advice{text, command})
			}
		}
		return advice
	}
	l := servers[0]
	const begin = "If another program reports that the port is in use, this server is the cause. "
	switch manager := l.Facts.Manager; {
	case l.Container.ID != "":
		return []Advice{{begin + "To end it:", fmt.Sprintf("porttray stop %d", l.Port)}}
	case manager.Name != "":
		return []Advice{{begin + "To end it:", managerCommand(runtime.GOOS, manager)}}
	case !l.Owner.Known() && l.Owner.User != "":
		return []Advice{{begin + "It belongs to another user. To see more:",
			fmt.Sprintf("sudo porttray explain %d", l.Port)}}
	case !l.Owner.Known():
		return nil
	case l.PodmanSocket() != "":
		return []Advice{{"It is a Podman container. Podman reports its containers only through a socket. " +
			"To start the socket (to keep it, use enable --now instead of start):", l.PodmanSocket()}}
	case l.Owner.Refusal != "":
		return []Advice{{Says: begin + "porttray does not stop it: " + l.Owner.Refusal + "."}}
	}
	return []Advice{{begin + "To end it:", fmt.Sprintf("porttray stop %d", l.Port)}}
}

// managerCommand returns the command that stops a service.
func managerCommand(goos string, m facts.Manager) string {
	name := facts.Quote(m.Name)
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

// adviseOtherPort lists free ports. If it knows the tool, it gives the command to use one.
func (a *Answer) adviseOtherPort(ctx context.Context) []Advice {
	next := a.Port.Number + 1
	if next < 1024 {
		next = 8000 // any user may bind it
	}
	free, _ := port.FreeFrom(next, 3) // on an error, use the ports found so far
	if len(free) == 0 {
		return nil
	}
	var names []string
	for _, p := range free {
		names = append(names, fmt.Sprint(p))
	}
	advice := Advice{Says: "Free ports: " + strings.Join(names, ", ") + "."}
	for _, l := range a.servers {
		if command := otherPort(l, free[0]); command != "" {
			advice = Advice{advice.Says + " To start another " + toolName(l) + " there:", command}
			break
		}
	}
	return []Advice{advice}
}

func toolName(l server.Listener) string {
	if l.Container.ID != "" {
		return "container"
	}
	return l.Facts.Tool.Name
}

// where returns the name or the addresses in question.
func (a *Answer) where() string {
	if a.Address.Name != "" {
		return a.Address.Name
	}
	return JoinAddrs(a.Address.Addresses, " and ")
}

// JoinAddrs joins addresses as text.
func JoinAddrs(addrs []netip.Addr, separator string) string {
	texts := make([]string, len(addrs))
	for i, a := range addrs {
		texts[i] = a.String()
	}
	return strings.Join(texts, separator)
}
