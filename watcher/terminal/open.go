package terminal

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/settings"
)

func openCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "open PORT",
		Short: "Open the server on a port in the browser",
		Long: `Opens the server on a port in the browser, by https if it answers a TLS handshake, else by http; scheme and path of a rule in
the settings file count more. If several servers share the port, it is the one that localhost leads to.
What is known to be no web server, such as a database, is not opened unless a rule says its scheme or path.`,
		Args:              exactly(1, "the port"),
		ValidArgsFunction: completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			port, err := portArgument(args[0])
			if err != nil {
				return err
			}
			s, err := watcher.LookAt(c.Context(), port)
			if err != nil {
				return err
			}
			l, ok := toOpen(s, port)
			if !ok {
				return fmt.Errorf("nothing listens on port %d; porttray explain %d tells more", port, port)
			}
			rule := rulesInForce(c).Rule(l)
			l.Label = rule.Label
			url, err := pageOf(c.Context(), l, rule, browser.Scheme)
			if err != nil {
				return err
			}
			if err := p.Open(c.Context(), url); err != nil {
				return fmt.Errorf("%w; the address is %s", err, url)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Opened %s: %s\n", url, leftToRight(l.Name()))
			return err
		},
	}
}

// pageOf returns the URL by which a browser opens a listener for which there is a rule. The function schemeOf asks the server. The
// error says that it is nothing for a browser, and where other clients find it.
func pageOf(ctx context.Context, l watcher.Listener, rule settings.Rule,
	schemeOf func(context.Context, watcher.Listener) string) (string, error) {
	scheme := string(rule.Scheme)
	switch {
	case scheme != "":
	case !rule.Opens(l):
		return "", fmt.Errorf("%s; connect to %s instead", isNoPage(l), browser.Address(l))
	default:
		scheme = schemeOf(ctx, l)
	}
	return browser.URL(l, scheme) + string(rule.Path), nil
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

// toOpen returns the listener on a port that a browser should go to: one at 127.0.0.1, or else at ::1, or else any.
func toOpen(s watcher.Snapshot, port uint16) (best watcher.Listener, ok bool) {
	for _, l := range s.Listeners {
		if l.Port != port {
			continue
		}
		if !ok || rank(l) < rank(best) {
			best, ok = l, true
		}
	}
	return best, ok
}

func rank(l watcher.Listener) int {
	switch at := l.Loopback(); {
	case at.Is4() && at.As4() == [4]byte{127, 0, 0, 1}:
		return 0
	case at.Is6():
		return 1
	}
	return 2
}
