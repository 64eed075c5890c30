// Package terminal is the text face of porttray: what the watcher finds, as lines for people.
package terminal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
)

// Watch writes the table of listeners to out and then a line for each event, until ctx is done; then it returns nil. It returns
// early with an error when out cannot be written to.
func Watch(ctx context.Context, w *watcher.Watcher, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	updates := make(chan watcher.Update)
	wg.Go(func() { w.Run(ctx, updates) })
	var f follower
	for {
		select {
		case <-ctx.Done():
			return nil
		case u := <-updates:
			if _, err := out.Write(f.lines(u, time.Now())); err != nil {
				return fmt.Errorf("write the events: %w", err)
			}
		}
	}
}

// A follower remembers what it has written of a sequence of updates.
type follower struct {
	listed bool
	failed bool
	slow   time.Duration
}

// lines returns the text for the next update.
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
	f.failed = u.Err != nil
	if u.Slow != f.slow && u.Slow > 0 {
		fmt.Fprintf(&b, "%s  reading the ports is expensive here, so it is done every %v only\n", clock, u.Slow)
	}
	f.slow = u.Slow
	if !f.listed && !u.Snapshot.Time.IsZero() {
		f.listed = true
		writeTable(&b, u.Snapshot)
		return b.Bytes()
	}
	for _, e := range u.Events {
		fmt.Fprintf(&b, "%s  %s  %d  %s\n", clock, e.Kind, e.Listener.Port, describeEvent(e))
	}
	return b.Bytes()
}

// writeTable writes a snapshot as an aligned table.
func writeTable(out io.Writer, s watcher.Snapshot) {
	if len(s.Listeners) == 0 {
		fmt.Fprintln(out, "No ports are listened on.")
		return
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PORT\tSERVER\tPROCESS\tPID\tADDRESS\tSINCE\tDIRECTORY")
	for _, l := range s.Listeners {
		pid, since := "-", "-"
		if l.Owner.Known() {
			pid = fmt.Sprint(l.Owner.PID)
		}
		if !l.Owner.Since.IsZero() {
			since = l.Owner.Since.Format("2 Jan 15:04")
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Port, l.Name(), dash(clean(l.Owner.Name)), pid, addresses(l), since, dash(directory(l)))
	}
	t.Flush() // into a buffer: it cannot fail
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
		text += fmt.Sprintf(" (PID %d)", l.Owner.PID)
	}
	if dir := directory(l); dir != "" {
		text += " in " + dir
	}
	return text + ", " + addresses(l)
}

// directory returns where the owner works, or nothing for a container: its forwarder's directory says nothing about it.
func directory(l watcher.Listener) string {
	if l.Container.ID != "" {
		return ""
	}
	return clean(owner.ShortDir(l.Owner.Dir))
}

func addresses(l watcher.Listener) string {
	var list []string
	for _, a := range l.Addrs {
		list = append(list, a.String())
	}
	return strings.Join(list, ",")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func clean(s string) string { return owner.Printable(s, 0) }
