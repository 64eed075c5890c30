package tray

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/owner"
	"porttray/watcher/settings"
)

// Actions run outside of the loop, and what comes of each arrives there.

// act starts an action. Its result arrives at l.done, which has room for all.
func (l *loop) act(ctx context.Context, a action, on watcher.Listener) {
	late := result{action: a, target: on.Target(), port: on.Port}
	late.say = notice{title: fmt.Sprintf("Port %d: no answer", on.Port), body: "What was asked for takes too long, and may or may not still happen"}
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
		s, _ := serverOf(servers, on.ID()) // a click counts only for what is one
		for _, p := range s.Group().Workers {
			if s.Container.ID == "" { // the server is known by another worker when the main one has ended
				l.endings[watcher.Target{Process: p.ID()}] = l.endings[on.Target()]
			}
		}
		do = func(ctx context.Context) result {
			r := l.do.end(ctx, s, a == kill, owner.Wait)
			return result{action: a, say: outcome(s, servers, a == kill, r), target: on.Target(), port: on.Port, end: r}
		}
	}
	l.perform(ctx, do, late)
}

// visit runs something that is not about a listener that is there.
func (l *loop) visit(ctx context.Context, do func(context.Context) result) {
	if l.running < actionLimit {
		l.perform(ctx, do, result{say: notice{title: "No answer", body: "What was asked for takes too long"}})
	}
}

// perform runs an action outside of the loop. What comes of it arrives at l.done; after actionPatience that is late.
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

// copied puts text on the clipboard.
func copied(ctx context.Context, do deeds, text string) result {
	if err := do.copy(ctx, text); err != nil {
		return result{action: copyThis, say: notice{title: "Could not copy", body: owner.Printable(err.Error(), maxLine)}}
	}
	return result{action: copyThis}
}

// otherPorts returns the other ports that the processes of a server have, or its container.
func otherPorts(s watcher.Server) []watcher.Listener {
	workers := s.Group().Workers
	others := slices.DeleteFunc(slices.Clone(s.Parts), func(l watcher.Listener) bool {
		return l.Port == s.Port || s.Container.ID == "" && !slices.ContainsFunc(workers, l.Owner.Is)
	})
	slices.SortStableFunc(others, func(a, b watcher.Listener) int { return cmp.Compare(a.Port, b.Port) })
	return slices.CompactFunc(others, func(a, b watcher.Listener) bool { return a.Port == b.Port })
}

// literal returns the address of a port that two servers share, the head of one or a further port. It is invalid where localhost
// will do.
func (l *loop) literal(on watcher.Listener) netip.Addr {
	var here []watcher.Server // on that port, each port by itself
	for _, s := range l.model.servers {
		for _, p := range s.Ports() {
			if p.Port == on.Port {
				here = append(here, watcher.Server{Listener: p})
			}
		}
	}
	if s, ok := serverOf(here, on.ID()); ok && len(here) > 1 {
		return s.Literal(here)
	}
	return netip.Addr{}
}

// visit opens the address of a listener, or copies it. A valid literal address is used instead of localhost.
func visit(ctx context.Context, do deeds, a action, on watcher.Listener, literal netip.Addr, rule settings.Rule) result {
	address, act, failed := browser.Address(on), do.copy, "Could not copy "
	asked := on // for its scheme
	if literal.IsValid() {
		address = browser.AddressAt(literal, on.Port)
		asked.Addrs = []netip.Addr{literal}
	}
	if a == copyNetwork {
		at, err := do.network(on)
		if err != nil {
			return result{action: a, say: notice{title: "Could not copy the network address", body: owner.Printable(err.Error(), maxLine)}}
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
		return result{action: a, say: notice{title: fmt.Sprintf("Port %d is nothing for a browser", on.Port), body: on.Speaks() + " is at " + address}}
	}
	if a == open {
		act, failed = do.open, "Could not open "
	}
	if err := act(ctx, address); err != nil {
		return result{action: a, say: notice{title: failed + address, body: owner.Printable(err.Error(), maxLine)}}
	}
	return result{action: a}
}
