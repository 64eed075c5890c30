package terminal

import (
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
)

// maxWait is the longest that a command waits to see what a signal does.
const maxWait = 10 * time.Minute

func stopCommand() *cobra.Command {
	var (
		kill bool
		pid  int32
		wait time.Duration
	)
	c := &cobra.Command{
		Use:   "stop PORT|ADDRESS",
		Short: "Ask what listens on a port to end",
		Long: `Asks the server on a port to end (SIGTERM; on Windows, and with --kill, it is forced), or has the engine stop the
container. A server can be several processes: a master that started workers is asked, and ends them; without a master all workers are.
Right before that it is made sure that these very processes still hold the port, and that no other server would end as well. What
porttray would not stop from its menu it does not stop here either: other users' processes, the system's own, forwarders.

Exit status 0 means that the port is free. If several servers listen on it, an address says which one is meant, such as 127.0.0.1:5173
or [::1]:5173, or --pid does.`,
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
			held := func() bool { return port.Read().InUse(q.Port) }
			return stopping{q, pid, kill || !owner.CanStop(), wait, watcher.End, held}.run(c, serversOn(now, q.Port))
		},
	}
	c.Flags().BoolVarP(&kill, "kill", "k", false, "end a server by force (SIGKILL)")
	c.Flags().Int32Var(&pid, "pid", 0, "a process of the server, where several listen")
	c.Flags().DurationVar(&wait, "wait", owner.Wait, "how long to wait for it to end")
	return c
}

// A stopping is what is to be stopped, and how.
type stopping struct {
	asked explain.Question
	pid   int32 // 0 for the only one there is
	kill  bool
	wait  time.Duration
	end   func(ctx context.Context, s watcher.Server, force bool, wait time.Duration) owner.Result
	held  func() bool // the port cannot be bound, although nothing listens there
}

// run stops one of the servers on the port.
func (s stopping) run(c *cobra.Command, servers []watcher.Server) error {
	port := s.asked.Port
	asked := askedFor(servers, s.asked)
	switch {
	case len(servers) == 0 && s.held():
		return fmt.Errorf("nothing listens on port %d, but it is in use; porttray explain %d tells by whom", port, port)
	case len(servers) == 0:
		_, err := fmt.Fprintf(c.OutOrStdout(), "Port %d is free already: nothing listens there.\n", port)
		return err
	case len(asked) == 0:
		return fmt.Errorf("nothing listens on %s, but%s", s.asked, these(servers))
	}
	if s.pid != 0 {
		all := asked
		asked = slices.DeleteFunc(slices.Clone(all), func(on watcher.Server) bool { return !hasProcess(on, s.pid) })
		if len(asked) == 0 {
			return fmt.Errorf("no process %d listens on %s, but%s", s.pid, s.asked, these(all))
		}
	}
	if len(asked) > 1 {
		return undecided(asked, servers, "stop", func(on watcher.Server) string {
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
		return fmt.Errorf("%s was asked to end; whether it does was not waited for", whoIs(on))
	case !free:
		return errors.New(text)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "Port %d is free: %s.\n", port, leftToRight(text))
	return err
}

// hasProcess reports whether a process is one of a server's.
func hasProcess(s watcher.Server, pid int32) bool {
	return s.Master.PID == pid || slices.ContainsFunc(s.Parts, func(l watcher.Listener) bool { return l.Owner.PID == pid })
}

// these lists servers, each on a line of its own.
func these(list []watcher.Server) string {
	var b strings.Builder
	for _, s := range list {
		fmt.Fprintf(&b, "\n  %s", describe(s.Listener))
	}
	return b.String()
}

// outcome says what came of an attempt to end one of the servers on the port, and whether that is free.
func (s stopping) outcome(on watcher.Server, servers []watcher.Server, r owner.Result) (text string, free bool) {
	it, port := whoIs(on), s.asked.Port
	verb, done := "stop", "stopped"
	if s.kill && on.Container.ID == "" { // an engine stops containers in its own way
		verb, done = "kill", "killed"
	}
	ended := it + " " + done
	if !r.Ended {
		ended = it + " runs on, but no longer listens there"
	}
	switch r.Outcome {
	case owner.Freed:
		return ended, true
	case owner.Shared:
		return fmt.Sprintf("%s; %s still listens on %d", ended, namesOf(r.Left, servers), port), false
	case owner.Taken:
		return fmt.Sprintf("%s let go of port %d, but now %s has it", it, port, namesOf(r.Left, servers)), false
	case owner.StillRunning:
		text = fmt.Sprintf("%s did not stop within %v", it, s.wait)
		switch {
		case r.Ended:
			return fmt.Sprintf("%s has ended, but something holds port %d still", it, port), false
		case s.kill:
			text = fmt.Sprintf("%s is still there after %v", it, s.wait)
		}
		if on.Group().And() != "" {
			text += "; left: " + owner.NumberedAll(r.Left)
		}
		if !s.kill {
			text += "; --kill would force it"
		}
		return text, false
	case owner.Unclear:
		return fmt.Sprintf("%s was asked to end; what came of it cannot be seen: %s", it, clean(r.Err.Error())), false
	case owner.AlreadyGone:
		return fmt.Sprintf("%s no longer listens on port %d, so nothing was %s; try again", it, port, done), false
	case owner.NotPermitted:
		return fmt.Sprintf("the system does not let this user %s %s", verb, it), false
	case owner.Refused:
		if !on.Owner.Known() {
			return fmt.Sprintf("%s was not stopped%s", it, insteadOf(on.Listener)), false
		}
		return fmt.Sprintf("%s was not stopped: %s%s", it, r.Reason, insteadOf(on.Listener)), false
	}
	return fmt.Sprintf("could not %s %s: %s", verb, it, clean(fmt.Sprint(r.Err))), false
}

// namesOf names those who listen, by their servers where these are known.
func namesOf(left []owner.Process, servers []watcher.Server) string {
	var names []string
	for _, p := range left {
		name := whoIs(watcher.Server{Listener: watcher.Listener{Owner: p}})
		if i := slices.IndexFunc(servers, func(s watcher.Server) bool { return p.Known() && hasProcess(s, p.PID) }); i >= 0 {
			name = whoIs(servers[i])
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// insteadOf says what to do about what cannot be stopped from here.
func insteadOf(l watcher.Listener) string {
	switch {
	case l.Facts.Manager.Name != "":
		return "; its service is " + clean(l.Facts.Manager.Name)
	case l.Owner.Foreign && l.Owner.User != "":
		return "; it is " + clean(owner.UserName(l.Owner.User)) + "'s"
	}
	return ""
}

// whoIs names what a server consists of so that it cannot be mistaken for another one.
func whoIs(s watcher.Server) string {
	switch {
	case s.Container.ID != "":
		return s.Container.Kind() + " " + clean(s.Container.Name)
	case !s.Owner.Known():
		return "a process that this user cannot see"
	}
	group := s.Group()
	return owner.Numbered(s.Name(), group.First().PID) + group.And()
}
