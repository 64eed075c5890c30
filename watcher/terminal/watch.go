package terminal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher"
	"porttray/watcher/explain"
	"porttray/watcher/history"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/settings"
)

func watchCommand() *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "watch",
		Short: "List what listens, then say what opens and closes",
		Long: `Lists what listens, as porttray list does, then writes a line whenever a server opens, closes, restarts, is replaced or becomes reachable from other
machines. Ctrl-C ends it.

With --json each line is an object, written at once. The first is {"event":"baseline","listeners":[...]}, the further ones have
the fields event (opened, closed, restarted, replaced, exposed, ended, stale, fresh), time, listener, before and reason. "ended"
tells how a process ended whose closing was told before; "stale" that the list cannot be read for now, "fresh" that it can again.`,
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
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON, an object a line, about all listeners")
	c.Flags().BoolVarP(&all, "all", "a", false, "tell also of other users, the system and desktop programs")
	return c
}

// Watch writes the table of listeners to out and then a line for each event, until ctx is done; then it returns nil. It returns
// early with an error when out cannot be written to, and with EPIPE when nobody reads it any more.
func Watch(ctx context.Context, w *watcher.Watcher, out io.Writer) error {
	f := follower{style: styleOf(out), system: port.Read()}
	f.write = f.lines
	return f.follow(ctx, w, out)
}

// A follower tells of a sequence of updates, and remembers of them what it needs for that.
type follower struct {
	style  style
	all    bool // tell of what is not in the main list, too
	rules  settings.Settings
	system port.System
	write  func(u watcher.Update, now time.Time) []byte // how an update is told

	listed   bool
	failed   bool
	slow     time.Duration
	sections map[watcher.ID]watcher.Section // of what listens, and of what did before
	unclear  map[owner.ID]closing           // what closed lately of which it is not known how its process ended
}

// A closing is a listener that closed, and when.
type closing struct {
	watcher.Listener
	at time.Time
}

// follow tells of what w finds until ctx is done or out has no reader any more. What closes meanwhile is remembered, see package
// history.
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

// tell returns the text for the next update.
func (f *follower) tell(u watcher.Update, now time.Time) []byte {
	before := f.sections
	u = f.rules.Labelled(u)
	f.sections = sectionsBy(f.rules, u.Snapshot.Listeners, f.system)
	for _, e := range u.Events {
		for _, l := range []watcher.Listener{e.Listener, e.Before} {
			if section, ok := before[l.ID()]; ok {
				if _, ok := f.sections[l.ID()]; !ok {
					f.sections[l.ID()] = section
				}
			}
		}
	}
	text := f.write(u, now)
	f.failed, f.slow = u.Err != nil, u.Slow
	f.listed = f.listed || !u.Snapshot.Time.IsZero()
	f.noteUnclear(u, now)
	return text
}

// shown reports whether a listener is one to tell of.
func (f *follower) shown(l watcher.Listener) bool { return f.all || f.sections[l.ID()] == watcher.Main }

// noteUnclear remembers what closed without its end being known.
func (f *follower) noteUnclear(u watcher.Update, now time.Time) {
	maps.DeleteFunc(f.unclear, func(_ owner.ID, c closing) bool { return now.Sub(c.at) > watcher.RestartGrace })
	for _, e := range u.Events {
		if e.Kind == watcher.Closed && e.Listener.Owner.Known() && e.Reason.Lacks() && f.shown(e.Listener) {
			if f.unclear == nil {
				f.unclear = map[owner.ID]closing{}
			}
			f.unclear[e.Listener.Owner.ID()] = closing{e.Listener, now}
		}
	}
}

// ended returns the closings that were told before and of which the update tells how their processes ended, and forgets them.
func (f *follower) ended(u watcher.Update) []watcher.Event {
	var ended []watcher.Event
	for _, id := range slices.SortedFunc(maps.Keys(f.unclear), func(a, b owner.ID) int { return int(a.PID - b.PID) }) {
		if exit, ok := u.Snapshot.Exits[id]; ok {
			reason := watcher.Reason{Cause: watcher.OwnerEnded, Exit: exit}
			ended = append(ended, watcher.Event{Kind: watcher.Closed, Listener: f.unclear[id].Listener, Reason: reason})
			delete(f.unclear, id)
		}
	}
	return ended
}

// lines tells of an update in words.
func (f *follower) lines(u watcher.Update, now time.Time) []byte {
	var b bytes.Buffer
	clock := now.Format("15:04:05")
	switch {
	case u.Err != nil && u.Snapshot.Time.IsZero():
		fmt.Fprintf(&b, "%s  cannot read the ports: %s\n", clock, clean(u.Err.Error()))
	case u.Err != nil:
		fmt.Fprintf(&b, "%s  cannot read the ports: %s; the list is as of %s\n", clock, clean(u.Err.Error()), u.Snapshot.Time.Format("15:04:05"))
	case f.failed:
		fmt.Fprintf(&b, "%s  the ports can be read again\n", clock)
	}
	if u.Slow != f.slow && u.Slow > 0 {
		fmt.Fprintf(&b, "%s  reading the ports is expensive here, so it is done every %v only\n", clock, u.Slow)
	}
	if !f.listed && !u.Snapshot.Time.IsZero() {
		b.Write(f.list(u.Snapshot, now))
		return b.Bytes()
	}
	for _, e := range f.ended(u) {
		fmt.Fprintf(&b, "%s  %s  %d  %s\n", clock, "ended", e.Listener.Port, leftToRight(describeEvent(e)))
	}
	for _, e := range u.Events {
		if f.shown(e.Listener) {
			fmt.Fprintf(&b, "%s  %s  %d  %s\n", clock, f.style.paint(e.Kind.String(), colourOf(e)), e.Listener.Port, leftToRight(describeEvent(e)))
		}
	}
	return b.Bytes()
}

// colourOf returns how an event is set off.
func colourOf(e watcher.Event) string {
	switch {
	case e.Reason.Crashed():
		return red
	case e.Kind == watcher.Opened:
		return green
	case e.Kind == watcher.Restarted:
		return ""
	}
	return yellow
}

// list writes what listens at first.
func (f *follower) list(s watcher.Snapshot, now time.Time) []byte {
	list := explain.Listeners(s, f.sections, f.system)
	if !f.all {
		list = slices.DeleteFunc(list, func(l explain.Listener) bool { return l.Section != watcher.Main.String() })
	}
	if len(list) == 0 {
		return []byte("No servers listen.\n")
	}
	return table(list, f.style, now)
}

// An object is what --json writes for an event.
type object struct {
	Event     string              `json:"event"`
	Time      time.Time           `json:"time"`
	Listener  *explain.Listener   `json:"listener,omitempty"`
	Before    *explain.Listener   `json:"before,omitempty"` // of restarted, replaced and exposed
	Reason    string              `json:"reason,omitempty"`
	Listeners *[]explain.Listener `json:"listeners,omitempty"` // of baseline
}

// objects tells of an update in JSON.
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
		list := explain.Listeners(u.Snapshot, f.sections, f.system)
		for i := range list {
			list[i].Stale = u.Err != nil
		}
		return jsonLines(append(all, object{Event: "baseline", Time: now, Listeners: &list}))
	}
	for _, e := range f.ended(u) {
		all = append(all, object{Event: "ended", Time: now, Listener: f.of(e.Listener, false), Reason: e.Reason.String()})
	}
	for _, e := range u.Events {
		o := object{Event: e.Kind.String(), Time: now, Listener: f.of(e.Listener, u.Err != nil), Reason: e.Reason.String()}
		if e.Kind != watcher.Opened && e.Kind != watcher.Closed {
			o.Before = f.of(e.Before, false)
		}
		all = append(all, o)
	}
	return jsonLines(all)
}

// of returns what JSON tells of a listener.
func (f *follower) of(l watcher.Listener, stale bool) *explain.Listener {
	told := explain.Of(l, f.sections[l.ID()], f.system)
	told.Stale = stale
	return &told
}

// describeEvent says in one line what happened to a listener, and why.
func describeEvent(e watcher.Event) string {
	text := describe(e.Listener)
	if e.Kind == watcher.Replaced {
		text += "; before " + describe(e.Before)
	}
	if why := e.Reason.String(); why != "" {
		text += ": " + why
	}
	return text
}

// describe says in one line whose listener it is and where it is bound.
func describe(l watcher.Listener) string {
	text := l.Name()
	if l.Owner.Known() {
		text = owner.Numbered(text, l.Owner.PID)
	}
	// A forwarder's directory says nothing about the container.
	if dir := shortDir(l.Owner.Dir); dir != "" && l.Container.ID == "" {
		text += " in " + dir
	}
	return text + ", " + explain.JoinAddrs(l.Addrs, ",")
}
