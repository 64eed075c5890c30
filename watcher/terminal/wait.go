package terminal

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/server"
)

func waitCommand() *cobra.Command {
	var (
		gone    bool
		timeout time.Duration
	)
	c := &cobra.Command{
		Use:   "wait PORT",
		Short: "Wait until something listens on a port",
		Long: `Waits until something listens on a port or, with --gone, until nothing does. It reads the system's list
of listeners and sends nothing to the server. A new server may need another moment before it answers. Exit status 1
means that the time is up.`,
		Args:              exactly(1, "the port"),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			p, err := portArgument(args[0])
			if err != nil {
				return err
			}
			if timeout < 0 {
				return badUsage("--timeout "+timeout.String(), fmt.Errorf("a time such as 30s, or 0 for no limit"))
			}
			ctx := c.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			l, err := await(ctx, &watcher.Watcher{Interval: 100 * time.Millisecond, Everywhere: true}, p, gone)
			switch {
			case c.Context().Err() != nil: // Ctrl-C
				return errNo
			case err != nil && gone:
				return fmt.Errorf("port %d is still listened on after %v, by %s", p, timeout, describe(l))
			case err != nil:
				return fmt.Errorf("nothing listens on port %d after %v", p, timeout)
			case gone:
				_, err = fmt.Fprintf(c.OutOrStdout(), "Nothing listens on port %d.\n", p)
			default:
				_, err = fmt.Fprintf(c.OutOrStdout(), "Port %d: %s\n", p, leftToRight(describe(l)))
			}
			return err
		},
	}
	c.Flags().BoolVar(&gone, "gone", false, "wait until nothing listens there")
	c.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait; 0 means no limit")
	return c
}

// await waits for a listener on a port and returns it. With gone, it waits until there is none. The only error is that
// of ctx; then await returns the last listener that it saw.
func await(ctx context.Context, w *watcher.Watcher, port uint16, gone bool) (server.Listener, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	updates := make(chan watcher.Update)
	wg.Go(func() { w.Run(ctx, updates) })
	var last server.Listener
	for {
		select {
		case <-ctx.Done():
			return last, ctx.Err()
		case u := <-updates:
			if u.Err != nil {
				continue // a failed scan says nothing about the port
			}
			at := slices.IndexFunc(u.Snapshot.Listeners, func(l server.Listener) bool { return l.Port == port })
			if at >= 0 {
				last = u.Snapshot.Listeners[at]
			}
			if gone == (at < 0) {
				return last, nil
			}
		}
	}
}
