package terminal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/explain"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
)

// maxWait is the maximum time to wait for a process to end.
const maxWait = 10 * time.Minute

func stopCommand() *cobra.Command {
	var (
		kill bool
		pid  int32
		wait time.Duration
	)
	c := &cobra.Command{
		Use:   "stop PORT|ADDRESS",
		Short: "Ask the server on a port to end",
		Long: `Asks the server on a port to end (SIGTERM). On Windows, and with --kill, it ends the server by force. For
a container it asks the engine. If a server has a master process with workers, porttray asks the master, which ends its
workers. Without a master it asks all workers.

Right before the signal, porttray checks that the same processes still hold the port, and that no other server would end
too. Like the menu, it does not stop other users' processes, the system's own processes, or forwarders.

Exit status 0 means that the port is free. If several servers listen on it, give an address, such as 127.0.0.1:5173 or
[::1]:5173, or use --pid.`,
		Args:              exactly(1, "the port"),
		ValidArgsFunction: completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			q, err := explain.Parse(c.Context(), args[0])
			switch {
			case err != nil:
				return badUsage(args[0], err)
			case wait <= 0 || wait > maxWait:
				return badUsage("--wait "+wait.String(), fmt.Errorf("a time from 1ms to %v", maxWait))
			case c.Flags().Changed("pid") && pid <= 0:
				return badUsage(fmt.Sprintf("--pid %d", pid), errors.New("a PID is a number from 1 up"))
			}
			now, err := watcher.LookAt(c.Context(), q.Port)
			if err != nil {
				return err
			}
			inUse := func() bool { return port.Read().InUse(q.Port) }
			return stopping{q, pid, kill || !owner.CanStop(), wait, watcher.End, inUse}.run(c, serversOn(now, q.Port))
		},
	}
	c.Flags().BoolVarP(&kill, "kill", "k", false, "end a server by force (SIGKILL)")
	c.Flags().Int32Var(&pid, "pid", 0, "a process of the server, if several listen")
	c.Flags().DurationVar(&wait, "wait", owner.Wait, "how long to wait for it to end")
	return c
}

// A stopping holds the options of the stop command.
type stopping struct {
	asked explain.Question
	pid   int32 // 0 if not given
	kill  bool
	wait  time.Duration
	end   func(ctx context.Context, s server.Server, force bool, wait time.Duration) owner.Result
	inUse func() bool // reports whether the port cannot be bound
}

// run stops one of the servers on the port.
func (s stopping) run(c *cobra.Command, servers []server.Server) error {
	port := s.asked.Port
	asked := askedFor(servers, s.asked)
	switch {
	case len(servers) == 0 && s.inUse():
		return fmt.Errorf("nothing listens on port %d, but it is in use; porttray explain %d says by whom", port, port)
	case len(servers) == 0:
		_, err := fmt.Fprintf(c.OutOrStdout(), "Port %d is free already: nothing listens there.\n", port)
		return err
	case len(asked) == 0:
		return fmt.Errorf("nothing listens on %s, but%s", s.asked, these(servers))
	}
	if s.pid != 0 {
		all := asked
		asked = slices.DeleteFunc(slices.Clone(all), func(on server.Server) bool { return !hasProcess(on, s.pid) })
		if len(asked) == 0 {
			return fmt.Errorf("no process %d listens on %s, but%s", s.pid, s.asked, these(all))
		}
	}
	if len(asked) > 1 {
		return undecided(asked, servers, "stop", func(on server.Server) string {
			if !on.Owner.Known() {
				return ""
			}
			return fmt.Sprintf("porttray stop %d --pid %d", port, on.Owner.PID)
		})
	}
	on := asked[0]
	r := s.end(c.Context(), on, s.kill, s.wait)
	text, free := s.outcome(on, servers, r)
	switch {
	case !free && c.Context().Err() != nil && r.Outcome == owner.StillRunning && !r.Ended: // Ctrl-C
		return fmt.Errorf("asked %s to end, and did not wait for the result", whoIs(on))
	case !free:
		return errors.New(text)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "Port %d is free: %s.\n", port, leftToRight(text))
	return err
}

// hasProcess reports whether a process belongs to a server.
func hasProcess(s server.Server, pid int32) bool {
	return s.Master.PID == pid ||
		slices.ContainsFunc(s.Parts, func(l server.Listener) bool { return l.Owner.PID == pid })
}

// these lists servers, one per line.
func these(list []server.Server) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "\n  %s", describe(s.Listener))
	}
	return b.String()
}

// outcome describes the result of ending a server, and reports whether its port is free.
func (s stopping) outcome(on server.Server, servers []server.Server, r owner.Result) (text string, free bool) {
	it, port := whoIs(on), s.asked.Port
	verb, done := "stop", "stopped"
	if s.kill && on.Container.ID == "" { // --kill does not change how an engine stops a container
		verb, done = "kill", "killed"
	}
	ended := it + " " + done
	if !r.Ended {
		ended = it + " still runs, but no longer listens there"
	}
	switch r.Outcome {
	case owner.Freed:
		return ended, true
	case owner.Shared:
		return fmt.Sprintf("%s; %s still listens on %d", ended, namesOf(r.Left, servers), port), false
	case owner.Taken:
		return fmt.Sprintf("%s released port %d, but now %s has it", it, port, namesOf(r.Left, servers)), false
	case owner.StillRunning:
		text = fmt.Sprintf("%s did not stop within %v", it, s.wait)
		switch {
		case r.Ended:
			return fmt.Sprintf("%s has ended, but something still holds port %d", it, port), false
		case s.kill:
			text = fmt.Sprintf("%s did not end within %v of --kill", it, s.wait)
		}
		if on.Group().And() != "" {
			text += "; still running: " + owner.NumberedAll(r.Left)
		}
		if !s.kill {
			text += "; use --kill to force it"
		}
		return text, false
	case owner.Unclear:
		return fmt.Sprintf("asked %s to end, but the result is unknown: %s", it, clean(r.Err.Error())), false
	case owner.AlreadyGone:
		return fmt.Sprintf("%s no longer listens on port %d, so nothing was %s; try again", it, port, done), false
	case owner.NotPermitted:
		return fmt.Sprintf("the system does not allow this user to %s %s", verb, it), false
	case owner.Refused:
		if !on.Owner.Known() {
			return fmt.Sprintf("%s was not stopped%s", it, insteadOf(on.Listener)), false
		}
		return fmt.Sprintf("%s was not stopped: %s%s", it, r.Reason, insteadOf(on.Listener)), false
	}
	return fmt.Sprintf("could not %s %s: %s", verb, it, clean(fmt.Sprint(r.Err))), false
}

// namesOf returns the names of processes. A process of a known server has the name of the server.
func namesOf(left []owner.Process, servers []server.Server) string {
	var names []string
	for _, p := range left {
		name := whoIs(server.Server{Listener: server.Listener{Owner: p}})
		at := slices.IndexFunc(servers, func(s server.Server) bool { return p.Known() && hasProcess(s, p.PID) })
		if at >= 0 {
			name = whoIs(servers[at])
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// insteadOf names the service or the user of a listener that porttray does not stop.
func insteadOf(l server.Listener) string {
	switch {
	case l.Facts.Manager.Name != "":
		return "; its service is " + clean(l.Facts.Manager.Name)
	case l.Owner.Foreign && l.Owner.User != "":
		return "; it is " + clean(owner.UserName(l.Owner.User)) + "'s"
	}
	return ""
}

// whoIs names a server by its container or its processes, so that no other server has the same name.
func whoIs(s server.Server) string {
	switch {
	case s.Container.ID != "":
		return s.Container.Kind() + " " + clean(cmp.Or(s.Container.Name, s.Container.ID))
	case !s.Owner.Known():
		return "a process that this user cannot see"
	}
	group := s.Group()
	return owner.Numbered(s.Name(), group.First().PID) + group.And()
}
