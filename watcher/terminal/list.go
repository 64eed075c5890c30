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
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

func listCommand() *cobra.Command {
	var asJSON, all, commands, ports bool
	c := &cobra.Command{
		Use:   "list [PORT|RANGE|NAME ...]",
		Short: "List the servers and their owners",
		Long: `Lists your servers by port, as the menu does. --all or a filter adds the servers of the system, of other users
and of desktop programs. A server with further ports is one row; --ports gives each port its own row.

A filter is a port (3000), a range (3000-3999), or part of the name of a project, tool, process or container. A server
is listed if it matches any filter. --all and filters also find servers on other interfaces only. Exit status 1 means
that nothing matches.

With --json, --args adds the command line that starts a process again. It may hold secrets.`,
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

// A listing holds a snapshot and the options of the list command.
type listing struct {
	watcher.Snapshot
	rules    settings.Settings
	filter   filter
	all      bool
	ports    bool // each port has its own row
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
		if hidden > 0 && s != (style{}) { // out is a terminal
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
		fmt.Fprintln(c.ErrOrStderr(), "No server matches.")
	case hidden > 0:
		fmt.Fprintf(c.ErrOrStderr(), "You have no servers; --all lists %d others.\n", hidden)
	default:
		fmt.Fprintln(c.ErrOrStderr(), "No server listens.")
	}
	return errNo
}

// choose returns the servers or ports to list. It also counts those left out because they are not in the main list.
func (what listing) choose(system port.System) (list []explain.Listener, hidden int) {
	for _, s := range what.rules.Applied(watcher.Update{Snapshot: what.Snapshot}).Snapshot.Servers {
		parts := []server.Server{s}
		if what.ports {
			parts = nil
			for _, l := range s.Parts {
				one := server.Server{Listener: l, Title: s.Title, Place: s.Place, Runs: s.Runs,
					Parts: []server.Listener{l}}
				parts = append(parts, one)
			}
		}
		for _, part := range parts {
			part.Section = s.Section
			row := explain.OfServer(part, system)
			if what.commands {
				row.Command = part.Facts.Command
			}
			list = append(list, row)
		}
	}
	slices.SortStableFunc(list, func(a, b explain.Listener) int { return cmp.Compare(a.Port, b.Port) })
	list = slices.DeleteFunc(list, func(l explain.Listener) bool {
		if len(what.filter) > 0 {
			return !what.filter.fits(l)
		}
		other := !what.all && l.Section != server.Main.String()
		if other {
			hidden++
		}
		return other
	})
	return list, hidden
}

// A filter matches a listener if any of its functions does.
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
			names := []string{l.Name, l.Label, l.Project, l.Tool, l.Process, l.Container}
			return slices.ContainsFunc(names, func(name string) bool {
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
