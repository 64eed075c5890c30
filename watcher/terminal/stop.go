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
		Use:   "stop PORT",
		Short: "Ask what listens on a port to end",
		Long: `Asks the process that listens on a port to end (SIGTERM; on Windows, and with --kill, it is forced), or has the engine stop the
container. Right before that it is made sure that this very process still holds the port. What porttray would not stop from its
menu it does not stop here either: other users' processes, the system's own, forwarders.

Exit status 0 means that the port is free. If several processes listen on it, --pid must say which one is meant.`,
		Args:              exactly(1, "the port"),
		ValidArgsFunction: completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			p, err := portArgument(args[0])
			switch {
			case err != nil:
				return err
			case wait <= 0 || wait > maxWait:
				return badUsage("--wait "+wait.String(), fmt.Errorf("a time from 1ms to %v", maxWait))
			case c.Flags().Changed("pid") && pid <= 0:
				return badUsage(fmt.Sprintf("--pid %d", pid), errors.New("a PID is a number from 1 up"))
			}
			s, err := watcher.LookAt(c.Context(), p)
			if err != nil {
				return err
			}
			held := func() bool { return port.Read().InUse(p) }
			return stopping{p, pid, kill || !owner.CanStop(), wait, watcher.End, held}.run(c, s)
		},
	}
	c.Flags().BoolVarP(&kill, "kill", "k", false, "end a process by force (SIGKILL)")
	c.Flags().Int32Var(&pid, "pid", 0, "the process to stop, where several listen on the port")
	c.Flags().DurationVar(&wait, "wait", owner.Wait, "how long to wait for it to end")
	return c
}

// A stopping is what is to be stopped, and how.
type stopping struct {
	port uint16
	pid  int32 // 0 for the only one there is
	kill bool
	wait time.Duration
	end  func(ctx context.Context, l watcher.Listener, force bool, wait time.Duration) owner.Result
	held func() bool // the port cannot be bound, although nothing listens there
}

func (s stopping) run(c *cobra.Command, now watcher.Snapshot) error {
	targets := targetsOn(now, s.port)
	if len(targets) == 0 {
		if s.held() {
			return fmt.Errorf("nothing listens on port %d, but it is in use; porttray explain %d tells by whom", s.port, s.port)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "Port %d is free already: nothing listens there.\n", s.port)
		return err
	}
	if s.pid != 0 {
		all := targets
		targets = slices.DeleteFunc(slices.Clone(all), func(l watcher.Listener) bool { return l.Owner.PID != s.pid })
		if len(targets) == 0 {
			return fmt.Errorf("no process %d listens on port %d, but%s", s.pid, s.port, these(all))
		}
	}
	if len(targets) > 1 {
		return fmt.Errorf("%d listen on port %d; say with --pid which one to stop:%s", len(targets), s.port, these(targets))
	}
	l := targets[0]
	r := s.end(c.Context(), l, s.kill, s.wait)
	text, free := outcome(l, s, r)
	switch {
	case !free && c.Context().Err() != nil && r.Outcome == owner.StillRunning && !r.Ended: // Ctrl-C
		return fmt.Errorf("%s was asked to end; whether it does was not waited for", whoIs(l))
	case !free:
		return errors.New(text)
	}
	// Another one may be left that shares the port.
	if others := len(targetsOn(now, s.port)) - 1; others > 0 {
		return fmt.Errorf("%s; %d more on port %d", text, others, s.port)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), "Port %d is free: %s.\n", s.port, leftToRight(text))
	return err
}

// targetsOn returns a listener for each process or container on a port.
func targetsOn(s watcher.Snapshot, port uint16) []watcher.Listener {
	var targets []watcher.Listener
	for _, l := range s.Listeners {
		known := slices.ContainsFunc(targets, func(t watcher.Listener) bool {
			return t.Container.ID != "" && t.Container.ID == l.Container.ID
		})
		if l.Port == port && !known {
			targets = append(targets, l)
		}
	}
	return targets
}

// these lists listeners, each on a line of its own.
func these(list []watcher.Listener) string {
	var b strings.Builder
	for _, l := range list {
		fmt.Fprintf(&b, "\n  %s", describe(l))
	}
	return b.String()
}

// outcome says what came of an attempt to end l, and whether it let go of the port.
func outcome(l watcher.Listener, s stopping, r owner.Result) (text string, free bool) {
	it := whoIs(l)
	verb, done := "stop", "stopped"
	if s.kill && l.Container.ID == "" { // an engine stops containers in its own way
		verb, done = "kill", "killed"
	}
	switch r.Outcome {
	case owner.Freed:
		if !r.Ended {
			return it + " runs on, but no longer listens there", true
		}
		return it + " " + done, true
	case owner.Taken:
		return fmt.Sprintf("%s let go of port %d, but now %s has it", it, s.port, whoIs(watcher.Listener{Port: s.port, Owner: r.By})), false
	case owner.StillRunning:
		switch {
		case r.Ended:
			return fmt.Sprintf("%s has ended, but something holds port %d still", it, s.port), false
		case s.kill:
			return fmt.Sprintf("%s is still there after %v", it, s.wait), false
		}
		return fmt.Sprintf("%s did not stop within %v; --kill would force it", it, s.wait), false
	case owner.Unclear:
		return fmt.Sprintf("%s was asked to end; what came of it cannot be seen: %s", it, clean(r.Err.Error())), false
	case owner.AlreadyGone:
		return fmt.Sprintf("%s no longer listens on port %d, so nothing was %s; try again", it, s.port, done), false
	case owner.NotPermitted:
		return fmt.Sprintf("the system does not let this user %s %s", verb, it), false
	case owner.Refused:
		if !l.Owner.Known() {
			return fmt.Sprintf("%s is never stopped from here%s", it, insteadOf(l)), false
		}
		return fmt.Sprintf("%s is never stopped from here: %s%s", it, r.Reason, insteadOf(l)), false
	}
	return fmt.Sprintf("could not %s %s: %s", verb, it, clean(fmt.Sprint(r.Err))), false
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

// whoIs names what a listener belongs to so that it cannot be mistaken for another one.
func whoIs(l watcher.Listener) string {
	switch {
	case l.Container.ID != "":
		return l.Container.Kind() + " " + clean(l.Container.Name)
	case !l.Owner.Known():
		return "a process that this user cannot see"
	}
	return owner.Numbered(l.Name(), l.Owner.PID)
}
