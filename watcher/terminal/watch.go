package terminal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/explain"
	"porttray/watcher/history"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

func watchCommand() *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "watch",
		Short: "List the servers, then print each event",
		Long: `Lists your servers, as porttray list does. Then it writes a line when a server opens, closes, restarts,
is replaced, moves to another port, or becomes reachable from other machines. A server with further ports has one line.
Ctrl-C ends it.

With --json each line is an object, written at once. The first is {"event":"baseline","listeners":[...]}. The others
have the fields event, time, listener, before and reason. The events are opened, closed, restarted, replaced, moved,
exposed, explained, stale and fresh. "explained" gives the reason for an earlier event. "stale" means that the list
cannot be read, and "fresh" that it can be read again.`,
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			out := c.OutOrStdout()
			rules := rulesInForce(c)
			f := follower{style: styleOf(out), rules: rules, all: all || asJSON, system: port.Read()}
			f.write = f.lines
			if asJSON {
				f.write = f.objects
			}
			return f.follow(c.Context(), &watcher.Watcher{Interval: time.Duration(rules.Interval)}, out)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON about all servers, one object per line")
	c.Flags().BoolVarP(&all, "all", "a", false, "include other users, the system and desktop programs")
	return c
}

// Watch writes the table of listeners to out, and then a line for each event. It returns nil when ctx is done, the
// error of a failed write, or EPIPE when out has lost its reader.
func Watch(ctx context.Context, w *watcher.Watcher, out io.Writer) error {
	f := follower{style: styleOf(out), system: port.Read()}
	f.write = f.lines
	return f.follow(ctx, w, out)
}

// A follower prints a sequence of updates.
type follower struct {
	style  style
	all    bool // include servers outside the main list
	rules  settings.Settings
	system port.System
	write  func(u watcher.Update, now time.Time) []byte // formats an update

	// These describe the previous updates.
	listed bool
	failed bool
	slow   time.Duration
}

// follow prints the updates of w until ctx is done or out has lost its reader. It records closed servers in the history
// file.
func (f *follower) follow(ctx context.Context, w *watcher.Watcher, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	updates := make(chan watcher.Update)
	unread := make(chan error, 1)
	seen := history.NewRecorder()
	wg.Go(func() { w.Run(ctx, updates) })
	wg.Go(func() { seen.Run(ctx) })
	wg.Go(func() { unread <- readerGone(ctx, out) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-unread:
			if err != nil {
				return err
			}
			unread = nil
		case u := <-updates:
			seen.Note(u)
			if _, err := out.Write(f.tell(u, time.Now())); err != nil {
				return fmt.Errorf("write the events: %w", err)
			}
		}
	}
}

// tell returns the text of the next update.
func (f *follower) tell(u watcher.Update, now time.Time) []byte {
	u = f.rules.Applied(u)
	text := f.write(u, now)
	f.failed, f.slow = u.Err != nil, u.Slow
	f.listed = f.listed || !u.Snapshot.Time.IsZero()
	return text
}

// shown reports whether to print a server.
func (f *follower) shown(s server.Server) bool { return f.all || s.Section == server.Main }

// lines returns an update as text.
func (f *follower) lines(u watcher.Update, now time.Time) []byte {
	var b bytes.Buffer
	clock := now.Format("15:04:05")
	switch {
	case u.Err != nil && u.Snapshot.Time.IsZero():
		fmt.Fprintf(&b, "%s  cannot read the ports: %s\n", clock, clean(u.Err.Error()))
	case u.Err != nil:
		fmt.Fprintf(&b, "%s  cannot read the ports: %s; the list is as of %s\n",
			clock, clean(u.Err.Error()), u.Snapshot.Time.Format("15:04:05"))
	case f.failed:
		fmt.Fprintf(&b, "%s  the ports can be read again\n", clock)
	}
	if u.Slow != f.slow && u.Slow > 0 {
		fmt.Fprintf(&b, "%s  reading the ports is slow here, so porttray reads them every %v\n", clock, u.Slow)
	}
	if !f.listed && !u.Snapshot.Time.IsZero() {
		b.Write(f.list(u.Snapshot, now))
		return b.Bytes()
	}
	for _, e := range u.Events {
		if e.Kind == watcher.Replaced && !f.shown(e.Server) { // only the end of the old server is shown
			e = watcher.Event{Kind: watcher.Closed, Server: e.Before, Reason: e.Reason}
		}
		if f.shown(e.Server) {
			kind := f.style.paint(e.Kind.String(), colourOf(e))
			fmt.Fprintf(&b, "%s  %s  %d  %s\n", clock, kind, e.Port, leftToRight(describeEvent(e)))
		}
	}
	return b.Bytes()
}

// colourOf returns the colour of an event.
func colourOf(e watcher.Event) string {
	switch {
	case e.Reason.Crashed():
		return red
	case e.Kind == watcher.Opened, e.Kind == watcher.Moved:
		return green
	case e.Kind == watcher.Restarted, e.Kind == watcher.Explained:
		return ""
	}
	return yellow
}

// list returns the table of the first snapshot.
func (f *follower) list(s watcher.Snapshot, now time.Time) []byte {
	list := explain.Servers(s, f.system)
	if !f.all {
		list = slices.DeleteFunc(list, func(l explain.Listener) bool { return l.Section != server.Main.String() })
	}
	if len(list) == 0 {
		return []byte("No server listens.\n")
	}
	return table(list, f.style, now)
}

// An object is an event in JSON.
type object struct {
	Event     string              `json:"event"`
	Time      time.Time           `json:"time"`
	Listener  *explain.Listener   `json:"listener,omitempty"`
	Before    *explain.Listener   `json:"before,omitempty"` // for restarted, replaced, moved and exposed
	Reason    string              `json:"reason,omitempty"`
	Listeners *[]explain.Listener `json:"listeners,omitempty"` // for baseline
}

// objects returns an update as JSON.
func (f *follower) objects(u watcher.Update, now time.Time) []byte {
	now = now.Truncate(time.Millisecond)
	var all []object
	switch {
	case u.Err != nil:
		all = append(all, object{Event: "stale", Time: now, Reason: u.Err.Error()})
	case f.failed:
		all = append(all, object{Event: "fresh", Time: now})
	}
	if !f.listed && !u.Snapshot.Time.IsZero() {
		list := explain.Servers(u.Snapshot, f.system)
		for i := range list {
			list[i].Stale = u.Err != nil
		}
		return jsonLines(append(all, object{Event: "baseline", Time: now, Listeners: &list}))
	}
	for _, e := range u.Events {
		o := object{Event: e.Kind.String(), Time: now, Listener: f.toJSON(e.Server, u.Err != nil),
			Reason: e.Reason.String()}
		if e.Before.Port != 0 {
			o.Before = f.toJSON(e.Before, false)
		}
		all = append(all, o)
	}
	return jsonLines(all)
}

// toJSON returns a server in its JSON form.
func (f *follower) toJSON(s server.Server, stale bool) *explain.Listener {
	l := explain.OfServer(s, f.system)
	l.Stale = stale
	return &l
}

// describeEvent describes an event and its reason in one line.
func describeEvent(e watcher.Event) string {
	text := describeServer(e.Server)
	switch e.Kind {
	case watcher.Replaced:
		text += "; before " + describeServer(e.Before)
	case watcher.Moved:
		text += fmt.Sprintf("; %d is held by %s", e.Before.Port, owner.Numbered(e.Before.Title, e.Before.Owner.PID))
	}
	if why := e.Reason.String(); why != "" {
		text += ": " + why
	}
	return text
}

// describeServer describes a server in one line, with the bind addresses of its head port and its further ports.
func describeServer(s server.Server) string {
	text := describeAs(s.Title, s.Listener)
	var further []string
	for _, l := range s.Also {
		further = append(further, strconv.Itoa(int(l.Port)))
	}
	if len(further) > 0 {
		text += "; also " + strings.Join(further, ", ")
	}
	return text
}

// describe describes a listener in one line, with its owner and bind addresses.
func describe(l server.Listener) string { return describeAs(l.Name(), l) }

func describeAs(text string, l server.Listener) string {
	if l.Owner.Known() {
		text = owner.Numbered(text, l.Owner.PID)
	}
	if dir := shortDir(l.Directory()); dir != "" {
		text += " in " + dir
	}
	return text + ", " + explain.JoinAddrs(l.Addrs, ",")
}
