package tray

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"porttray/watcher/browser"
	"porttray/watcher/owner"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// Actions run outside the loop, and their results return to it.

// act starts an action. Its result arrives at l.done, and l.done has room for all.
func (l *loop) act(ctx context.Context, a action, on server.Listener) {
	late := result{action: a, target: on.Target(), port: on.Port}
	late.say.title = fmt.Sprintf("Port %d: no answer", on.Port)
	late.say.body = "The action takes too long; it may still happen"
	rule, terminal := l.model.settings.Rule(on), l.model.settings.Terminal
	at := l.literal(on)
	do := func(ctx context.Context) result { return visit(ctx, l.do, a, on, at, rule) }
	if a == openTerminal {
		do = func(ctx context.Context) result { return terminalAt(ctx, l.do, terminal, on) }
	}
	if a == stop || a == kill {
		if !l.beginEnding(on, a) {
			return
		}
		servers := l.model.servers
		s, _ := serverOf(servers, on.ID()) // click has checked that it is a server
		for _, p := range s.Group().Workers {
			if s.Container.ID == "" { // after the end of the main worker, another one identifies the server
				l.endings[server.Target{Process: p.ID()}] = l.endings[on.Target()]
			}
		}
		do = func(ctx context.Context) result {
			r := l.do.end(ctx, s, a == kill, owner.Wait)
			return result{action: a, say: outcome(s, servers, a == kill, r), target: on.Target(), port: on.Port, end: r}
		}
	}
	l.perform(ctx, do, late)
}

// visit runs an action without a listener.
func (l *loop) visit(ctx context.Context, do func(context.Context) result) {
	if l.running < actionLimit {
		l.perform(ctx, do, result{say: notice{title: "No answer", body: "The action takes too long"}})
	}
}

// perform runs an action outside the loop. Its result arrives at l.done; after actionPatience the result is late.
func (l *loop) perform(ctx context.Context, do func(context.Context) result, late result) {
	l.running++
	l.actions.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, actionPatience)
		defer cancel()
		came := make(chan result, 1)
		go func() { came <- do(ctx) }()
		select {
		case r := <-came:
			l.done <- r
		case <-ctx.Done():
			l.done <- late
		}
	})
}

func copied(ctx context.Context, do effects, text string) result {
	if err := do.copy(ctx, text); err != nil {
		body := owner.Printable(err.Error(), maxLine)
		return result{action: copyThis, say: notice{title: "Could not copy", body: body}}
	}
	return result{action: copyThis}
}

// otherPorts returns the other ports of a server's processes or container.
func otherPorts(s server.Server) []server.Listener {
	workers := s.Group().Workers
	others := slices.DeleteFunc(slices.Clone(s.Parts), func(l server.Listener) bool {
		return l.Port == s.Port || s.Container.ID == "" && !slices.ContainsFunc(workers, l.Owner.Is)
	})
	slices.SortStableFunc(others, func(a, b server.Listener) int { return cmp.Compare(a.Port, b.Port) })
	return slices.CompactFunc(others, func(a, b server.Listener) bool { return a.Port == b.Port })
}

// literal returns the address of a port that two servers share, as their heads or further ports. It is invalid if
// localhost is enough.
func (l *loop) literal(on server.Listener) netip.Addr {
	var here []server.Server // one for each listener on that port
	for _, s := range l.model.servers {
		for _, p := range s.Ports() {
			if p.Port == on.Port {
				here = append(here, server.Server{Listener: p})
			}
		}
	}
	if s, ok := serverOf(here, on.ID()); ok && len(here) > 1 {
		return s.Literal(here)
	}
	return netip.Addr{}
}

// visit opens the address of a listener, or copies it. A valid literal address is used instead of localhost.
func visit(
	ctx context.Context, do effects, a action, on server.Listener, literal netip.Addr, rule settings.Rule,
) result {
	address, act, failed := browser.Address(on), do.copy, "Could not copy "
	asked := on // to find its scheme
	if literal.IsValid() {
		address = browser.AddressAt(literal, on.Port)
		asked.Addrs = []netip.Addr{literal}
	}
	if a == copyNetwork {
		at, err := do.network(on)
		if err != nil {
			body := owner.Printable(err.Error(), maxLine)
			return result{action: a, say: notice{title: "Could not copy the network address", body: body}}
		}
		address = browser.AddressAt(at, on.Port)
	}
	if rule.Opens(on) {
		scheme := string(rule.Scheme)
		if scheme == "" {
			scheme = do.scheme(ctx, asked)
		}
		address = scheme + "://" + address + string(rule.Path)
	} else if a == open {
		title := fmt.Sprintf("Port %d is not for a browser", on.Port)
		return result{action: a, say: notice{title: title, body: on.Speaks() + " is at " + address}}
	}
	if a == open {
		act, failed = do.open, "Could not open "
	}
	if err := act(ctx, address); err != nil {
		return result{action: a, say: notice{title: failed + address, body: owner.Printable(err.Error(), maxLine)}}
	}
	return result{action: a}
}
