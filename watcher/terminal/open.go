package terminal

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/explain"
	"porttray/watcher/port"
	"porttray/watcher/settings"
)

func openCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "open PORT|ADDRESS",
		Short: "Open the server on a port in the browser",
		Long: `Opens the server on a port in the browser, by https if it answers a TLS handshake, else by http. Scheme and path of a rule in
the settings file count more. If several servers share the port, an address says which one is meant: 127.0.0.1:5173. A server that is
known to be no web server, such as a database, is not opened unless a rule says its scheme or path.`,
		Args:              exactly(1, "the port"),
		ValidArgsFunction: completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			q, err := explain.Parse(c.Context(), args[0])
			if err != nil {
				return badUsage(args[0], err)
			}
			now, err := watcher.LookAt(c.Context(), q.Port)
			if err != nil {
				return err
			}
			s, at, err := toOpen(serversOn(now, q.Port), q)
			if err != nil {
				return err
			}
			rule := rulesInForce(c).Rule(s.Listener)
			s.Label = rule.Label
			url, err := pageOf(c.Context(), s.Listener, at, rule, browser.Scheme)
			if err != nil {
				return err
			}
			if err := p.Open(c.Context(), url); err != nil {
				return fmt.Errorf("%w; the address is %s", err, url)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Opened %s: %s\n", url, leftToRight(s.Name()))
			return err
		},
	}
}

// pageOf returns the URL by which a browser opens a listener for which there is a rule. A valid literal address is used instead of
// localhost. The function schemeOf asks the server. The error says that a browser is of no use, and what other clients connect to.
func pageOf(ctx context.Context, l watcher.Listener, literal netip.Addr, rule settings.Rule,
	schemeOf func(context.Context, watcher.Listener) string) (string, error) {
	address, scheme := browser.Address(l), string(rule.Scheme)
	if literal.IsValid() {
		address = browser.AddressAt(literal, l.Port)
		l.Addrs = []netip.Addr{literal}
	}
	switch {
	case scheme != "":
	case !rule.Opens(l):
		return "", fmt.Errorf("%s; connect to %s instead", isNoPage(l), address)
	default:
		scheme = schemeOf(ctx, l)
	}
	return scheme + "://" + address + string(rule.Path), nil
}

// isNoPage says what a listener is that a browser cannot open. Where only its port tells, it says so.
func isNoPage(l watcher.Listener) string {
	if !l.Owner.Known() && l.Container.ID == "" {
		return fmt.Sprintf("%d is most likely no web server, because the port is usual for %s", l.Port, l.Speaks())
	}
	if name := l.Name(); name != l.Speaks() {
		return fmt.Sprintf("%d is no web server (%s: %s)", l.Port, l.Speaks(), name)
	}
	return fmt.Sprintf("%d is no web server (%s)", l.Port, l.Speaks())
}

// toOpen returns the one of the servers on a port that somebody asks for. If there are others, it also returns an address that leads
// to it alone.
func toOpen(servers []watcher.Server, q explain.Question) (s watcher.Server, literal netip.Addr, err error) {
	asked := askedFor(servers, q)
	switch {
	case len(asked) == 0:
		return s, literal, fmt.Errorf("nothing listens on %s; porttray explain %s tells more", q, strings.TrimPrefix(q.String(), "port "))
	case len(asked) > 1:
		return s, literal, undecided(asked, servers, "open", func(watcher.Server) string { return "" })
	}
	if s = asked[0]; len(servers) > 1 {
		literal = s.Literal(servers)
	}
	return s, literal, nil
}

// serversOn returns the servers on a port. Each is known by that port, also where it is a further one.
func serversOn(now watcher.Snapshot, p uint16) []watcher.Server {
	here := slices.DeleteFunc(slices.Clone(now.Listeners), func(l watcher.Listener) bool { return l.Port != p })
	var servers []watcher.Server
	for _, s := range now.Servers {
		if s.Port != p {
			continue
		}
		servers = append(servers, s)
		here = slices.DeleteFunc(here, func(l watcher.Listener) bool {
			return slices.ContainsFunc(s.Parts, func(part watcher.Listener) bool { return part.ID() == l.ID() })
		})
	}
	return append(servers, watcher.Servers(here, port.Read().HandedOut)...) // further ports, by themselves
}

// askedFor returns those of the servers on a port that somebody asks for. At each address, one that is bound to it goes before one
// that is bound to all.
func askedFor(servers []watcher.Server, q explain.Question) []watcher.Server {
	if len(q.Addrs) == 0 {
		return servers
	}
	return slices.DeleteFunc(slices.Clone(servers), func(s watcher.Server) bool {
		return !slices.ContainsFunc(q.Addrs, func(at netip.Addr) bool {
			bound := slices.ContainsFunc(servers, func(o watcher.Server) bool { return slices.Contains(o.Addrs, at) })
			return slices.Contains(s.Addrs, at) || !bound && s.TakesAll(at)
		})
	})
}

// undecided returns the error that several servers were asked for. For each it has the command that names it, where possible by an
// address that leads to it alone, else with what otherwise returns.
func undecided(asked, servers []watcher.Server, command string, otherwise func(watcher.Server) string) error {
	var choices strings.Builder
	for _, s := range asked {
		at := cmp.Or(otherwise(s), "(no address leads to it alone)")
		if literal := s.Literal(servers); literal.IsValid() {
			at = "porttray " + command + " " + browser.AddressAt(literal, s.Port)
		}
		fmt.Fprintf(&choices, "\n  %s  %s", at, describe(s.Listener))
	}
	return fmt.Errorf("%d servers listen on port %d; say which one:%s", len(asked), asked[0].Port, choices.String())
}
