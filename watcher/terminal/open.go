package terminal

import (
	"fmt"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/browser"
)

func openCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:   "open PORT",
		Short: "Open the server on a port in the browser",
		Long: `Opens the server on a port in the browser, by https if it answers a TLS handshake, else by http; scheme and path of a rule in
the settings file count more. If several servers share the port, it is the one that localhost leads to.`,
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
			scheme := string(rule.Scheme)
			if scheme == "" {
				scheme = browser.Scheme(c.Context(), l)
			}
			url := browser.URL(l, scheme) + string(rule.Path)
			if err := p.Open(c.Context(), url); err != nil {
				return fmt.Errorf("%w; the address is %s", err, url)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Opened %s: %s\n", url, leftToRight(l.Name()))
			return err
		},
	}
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
