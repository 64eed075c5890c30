package terminal

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/explain"
	"porttray/watcher/port"
	"porttray/watcher/settings"
)

func listCommand() *cobra.Command {
	var asJSON, all, commands, ports bool
	c := &cobra.Command{
		Use:   "list [PORT|RANGE|NAME ...]",
		Short: "List what listens, and whose it is",
		Long: `Lists your servers by port, as the menu does. Servers of the system, of other users and of desktop programs are left out
unless --all or a filter asks for them. A server with further ports is one row; --ports gives each port a row of its own.

Filters are ports (3000), ranges (3000-3999) and parts of names of projects, tools, processes and containers. A server that fits any
of them is listed. --all and filters also find servers that only other interfaces lead to. Exit status 1 means that nothing fits.

With --args JSON also has the command line by which a process can be started again. That may hold secrets.`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, args []string) error {
			filter, err := parseFilter(args)
			if err != nil {
				return err
			}
			if commands && !asJSON {
				return badUsage("--args", errors.New("only with --json"))
			}
			s, err := watcher.Look(c.Context(), all || len(filter) > 0)
			if err != nil {
				return err
			}
			return writeList(c, listing{s, rulesInForce(c), filter, all, ports, commands, asJSON})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write a JSON array")
	c.Flags().BoolVarP(&all, "all", "a", false, "list everything")
	c.Flags().BoolVar(&ports, "ports", false, "list each port by itself")
	c.Flags().BoolVar(&commands, "args", false, "with --json, add the command that starts it again")
	return c
}

// A listing is what is to be listed.
type listing struct {
	watcher.Snapshot
	rules    settings.Settings
	filter   filter
	all      bool
	ports    bool // each by itself
	commands bool
	asJSON   bool
}

func writeList(c *cobra.Command, what listing) error {
	out := c.OutOrStdout()
	list, hidden := what.choose(port.Read())
	if what.asJSON {
		if err := writeJSON(out, list); err != nil {
			return err
		}
	} else if len(list) > 0 {
		s := styleOf(out)
		text := table(list, s, time.Now())
		if hidden > 0 && s != (style{}) { // somebody looks at it
			text = fmt.Appendln(text, s.paint(fmt.Sprintf("%d more with --all", hidden), faint))
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	if len(list) > 0 {
		return nil
	}
	switch {
	case len(what.filter) > 0:
		fmt.Fprintln(c.ErrOrStderr(), "Nothing that listens fits.")
	case hidden > 0:
		fmt.Fprintf(c.ErrOrStderr(), "No servers of yours listen; %d others with --all.\n", hidden)
	default:
		fmt.Fprintln(c.ErrOrStderr(), "Nothing listens.")
	}
	return errNo
}

// choose returns the servers or ports to list, and how many were left out because they are not in the main list.
func (what listing) choose(system port.System) (list []explain.Listener, hidden int) {
	for _, s := range what.rules.Applied(watcher.Update{Snapshot: what.Snapshot}).Snapshot.Servers {
		parts := []watcher.Server{s}
		if what.ports {
			parts = nil
			for _, l := range s.Parts {
				parts = append(parts, watcher.Server{Listener: l, Title: s.Title, Place: s.Place, Runs: s.Runs, Parts: []watcher.Listener{l}})
			}
		}
		for _, part := range parts {
			part.Section = s.Section
			told := explain.OfServer(part, system)
			if what.commands {
				told.Command = part.Facts.Command
			}
			list = append(list, told)
		}
	}
	slices.SortStableFunc(list, func(a, b explain.Listener) int { return cmp.Compare(a.Port, b.Port) })
	list = slices.DeleteFunc(list, func(l explain.Listener) bool {
		if len(what.filter) > 0 {
			return !what.filter.fits(l)
		}
		other := !what.all && l.Section != watcher.Main.String()
		if other {
			hidden++
		}
		return other
	})
	return list, hidden
}

// A filter is what a listener must fit one of.
type filter []func(explain.Listener) bool

func (f filter) fits(l explain.Listener) bool {
	return slices.ContainsFunc(f, func(fits func(explain.Listener) bool) bool { return fits(l) })
}

// parseFilter reads filters from the command line.
func parseFilter(args []string) (filter, error) {
	var f filter
	for _, arg := range args {
		fits, err := parseOne(arg)
		if err != nil {
			return nil, badUsage(arg, err)
		}
		f = append(f, fits)
	}
	return f, nil
}

func parseOne(arg string) (func(explain.Listener) bool, error) {
	if strings.TrimSpace(arg) == "" {
		return nil, errors.New("neither a port nor a name")
	}
	from, to, isRange := strings.Cut(strings.TrimPrefix(arg, ":"), "-")
	if strings.Trim(from+to, "0123456789") != "" {
		part := strings.ToLower(arg)
		return func(l explain.Listener) bool {
			return slices.ContainsFunc([]string{l.Name, l.Label, l.Project, l.Tool, l.Process, l.Container}, func(name string) bool {
				return strings.Contains(strings.ToLower(name), part)
			})
		}, nil
	}
	first, err := explain.ParsePort(from)
	last := first
	if err == nil && isRange {
		last, err = explain.ParsePort(to)
	}
	switch {
	case err != nil:
		return nil, err
	case first > last:
		return nil, errors.New("a range begins with the lower port")
	}
	within := func(p uint16) bool { return first <= p && p <= last }
	return func(l explain.Listener) bool {
		return within(l.Port) || slices.ContainsFunc(l.Further, func(f explain.Further) bool { return within(f.Port) })
	}, nil
}
