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
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

func openCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "open PORT|ADDRESS",
		Short: "Open the server on a port in the browser",
		Long: `Opens the server on a port in the browser. It uses https if the server answers a TLS handshake, else
http. A rule in the settings file can set the scheme and the path. If several servers share the port, give an address:
127.0.0.1:5173. porttray does not open databases and other servers that are not for a browser, unless a rule sets a
scheme or path.`,
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

// pageOf returns the URL of a listener for a browser, after applying its rule. A valid literal address replaces
// localhost. The function schemeOf asks the server. If the listener is not a web server, the error gives the address
// for other clients.
func pageOf(ctx context.Context, l server.Listener, literal netip.Addr, rule settings.Rule,
	schemeOf func(context.Context, server.Listener) string) (string, error) {
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

// isNoPage says why a browser cannot open a listener. If only the port suggests the protocol, the text says so.
func isNoPage(l server.Listener) string {
	if !l.Owner.Known() && l.Container.ID == "" {
		return fmt.Sprintf("%d is probably not a web server, because this port is usual for %s", l.Port, l.Speaks())
	}
	if name := l.Name(); name != l.Speaks() {
		return fmt.Sprintf("%d is not a web server (%s: %s)", l.Port, l.Speaks(), name)
	}
	return fmt.Sprintf("%d is not a web server (%s)", l.Port, l.Speaks())
}

// toOpen returns the requested server among those on a port. If there are several, it also returns an address that
// leads only to this server.
func toOpen(servers []server.Server, q explain.Question) (s server.Server, literal netip.Addr, err error) {
	asked := askedFor(servers, q)
	switch {
	case len(asked) == 0:
		argument := strings.TrimPrefix(q.String(), "port ")
		return s, literal, fmt.Errorf("nothing listens on %s; porttray explain %s says more", q, argument)
	case len(asked) > 1:
		return s, literal, undecided(asked, servers, "open", func(server.Server) string { return "" })
	}
	if s = asked[0]; len(servers) > 1 {
		literal = s.Literal(servers)
	}
	return s, literal, nil
}

// serversOn returns the servers on a port. A further port of a larger server counts as a server of its own.
func serversOn(now watcher.Snapshot, p uint16) []server.Server {
	here := slices.DeleteFunc(slices.Clone(now.Listeners), func(l server.Listener) bool { return l.Port != p })
	var servers []server.Server
	for _, s := range now.Servers {
		if s.Port != p {
			continue
		}
		servers = append(servers, s)
		here = slices.DeleteFunc(here, func(l server.Listener) bool {
			return slices.ContainsFunc(s.Parts, func(part server.Listener) bool { return part.ID() == l.ID() })
		})
	}
	return append(servers, server.Servers(here, port.Read().HandedOut)...) // further ports
}

// askedFor returns the servers on a port that match the question. At each address, a server bound to it takes
// precedence over a server bound to a wildcard.
func askedFor(servers []server.Server, q explain.Question) []server.Server {
	if len(q.Addrs) == 0 {
		return servers
	}
	return slices.DeleteFunc(slices.Clone(servers), func(s server.Server) bool {
		return !slices.ContainsFunc(q.Addrs, func(at netip.Addr) bool {
			bound := slices.ContainsFunc(servers, func(o server.Server) bool { return slices.Contains(o.Addrs, at) })
			return slices.Contains(s.Addrs, at) || !bound && s.TakesAll(at)
		})
	})
}

// undecided returns the error for an ambiguous request. It lists a command for each server, with an address that leads
// only to that server. If there is no such address, it lists the result of otherwise.
func undecided(asked, servers []server.Server, command string, otherwise func(server.Server) string) error {
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
