package history

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
	"porttray/watcher/trusted"
)

const (
	// batchDelay is the delay before a write, to collect news that belong together, such as the end and its reason.
	batchDelay = time.Second
	// pause is the minimum time between two writes. After a failed write it is pauseFailed.
	pause       = 5 * time.Second
	pauseFailed = time.Minute
	// shortLived is the minimum lifetime of a recorded listener on a system-assigned port. Test runs have shorter ones.
	shortLived = 10 * time.Second
	// maxRecent is how long the reason for a closing may arrive later.
	maxRecent = time.Minute
	// maxWaiting is the maximum number of closings that wait for a write. The latest ones stay.
	maxWaiting = 500
)

// A closing is the news that a server closed.
type closing struct {
	past  Past
	was   server.ID     // its identity; zero if unknown
	now   server.ID     // its identity after its restart; zero if it did not restart
	sure  bool          // past.Reason is the exit status, not only the fact of the end
	lived time.Duration // the lifetime of the listener; the maximum if no watcher saw it open
	brief bool          // only its restarts are recorded, not its end
}

// A recentClosing is a closing whose reason may still arrive.
type recentClosing struct {
	closing
	server  server.ID // the head of its server
	related bool      // it is part of a restart or a replacement
}

// A Recorder writes closings and restarts to the file, for Read in this or another process. Several processes may
// record at once, each adding to the file. They do not wait for each other. If two write at the same instant, the news
// of one can get lost.
type Recorder struct {
	file string // empty if the system has no place for it
	boot string

	news chan []closing

	// These belong to the goroutine that calls Note.
	opened map[uint16]time.Time // when a port opened last
	recent []recentClosing      // in the order of closing

	// These belong to the goroutine of Run.
	handedOut func(port uint16) bool // nil before the first closing
	swept     bool
	failing   bool // the last write failed
}

// NewRecorder returns a recorder for this user's file. If the system has no place for the file, NewRecorder logs that,
// and the recorder writes nothing.
func NewRecorder() *Recorder {
	file, err := File()
	if err != nil {
		slog.Warn("closed servers are not remembered", "err", err)
		file = ""
	}
	return newRecorder(file)
}

func newRecorder(file string) *Recorder {
	return &Recorder{file: file, boot: boot(), news: make(chan []closing, 1), opened: map[uint16]time.Time{}}
}

// Note queues the news in an update. It never blocks, and allocates nothing if no server opened, closed or restarted.
// Call it with every update of a Watcher, from one goroutine at a time.
func (r *Recorder) Note(u watcher.Update) {
	if r.file == "" {
		return
	}
	news := r.closings(u)
	if len(news) == 0 {
		return
	}
	select {
	case earlier := <-r.news:
		news = joined(earlier, news)
	default:
	}
	r.news <- news // it does not block: only this goroutine sends
}

// joined joins closings, and keeps the latest maxWaiting.
func joined(earlier, later []closing) []closing {
	all := append(earlier, later...)
	return all[max(len(all)-maxWaiting, 0):]
}

// closings returns the closings in an update: servers that closed, restarted or were replaced, and earlier closings
// with a new reason. A server has one closing for each of its closed ports.
func (r *Recorder) closings(u watcher.Update) []closing {
	at := u.Snapshot.Time
	if len(u.Events) > 0 {
		r.recent = slices.DeleteFunc(r.recent, func(c recentClosing) bool { return at.Sub(c.past.Closed) > maxRecent })
	}
	var news []closing
	for _, e := range u.Events {
		switch e.Kind {
		case watcher.Closed:
			news = append(news, r.closed(e.Server, e.Reason, u.Snapshot)...)
		case watcher.Restarted, watcher.Replaced:
			news = append(news, r.followed(e, u.Snapshot)...)
		case watcher.Explained:
			news = append(news, r.explained(e)...)
		}
		for _, l := range e.Parts {
			switch e.Kind {
			case watcher.Closed:
				delete(r.opened, l.Port)
			case watcher.Opened, watcher.Moved, watcher.Restarted, watcher.Replaced:
				r.opened[l.Port] = at
			}
		}
	}
	return news
}

// closed returns the closings of the closed ports of a server, and adds them to r.recent.
func (r *Recorder) closed(s server.Server, why watcher.Reason, now watcher.Snapshot) []closing {
	at := now.Time
	var news []closing
	for _, l := range s.Ports() {
		if _, listens := now.Find(l.ID()); listens && l.Port != s.Port {
			continue
		}
		c := closing{past: pastOf(l, why, at), sure: why.Exit.How != owner.Unknown, lived: math.MaxInt64}
		if l.Port == s.Port {
			c.past.Name = s.Title
		}
		if id, ok := identity(l); ok {
			c.was = id
		}
		if opened, ok := r.opened[l.Port]; ok {
			c.lived = at.Sub(opened)
		}
		r.recent = append(r.recent, recentClosing{closing: c, server: s.ID()})
		news = append(news, c)
	}
	r.recent = r.recent[max(len(r.recent)-maxWaiting, 0):]
	return news
}

// followed returns the closings of the server before a restart or a replacement. An earlier Closed event may have
// reported them already.
func (r *Recorder) followed(e watcher.Event, now watcher.Snapshot) []closing {
	at := now.Time
	var news []closing
	i := r.findRecent(e, at)
	if i < 0 {
		news = r.closed(e.Before, e.Reason, now)
		if i = r.findRecent(e, at); i < 0 {
			return news
		}
		news = slices.DeleteFunc(news, func(c closing) bool { return c.past.Port == e.Port })
	}
	known := &r.recent[i]
	known.related = true
	known.learn(e.Reason)
	c := known.closing
	if id, ok := identity(e.Listener); ok && e.Kind == watcher.Restarted {
		c.now = id
	}
	return append(news, c)
}

// findRecent returns the index of the recent closing before a restart or a replacement, or -1. It allows a second more
// than RestartGrace: the watcher counts from the delivery of an update, and may deliver it a moment late.
func (r *Recorder) findRecent(e watcher.Event, at time.Time) int {
	const limit = watcher.RestartGrace + time.Second
	for i, c := range slices.Backward(r.recent) {
		if c.server == e.Before.ID() && c.past.Port == e.Port && !c.related && at.Sub(c.past.Closed) <= limit {
			return i
		}
	}
	return -1
}

// learn replaces the reason with a more precise one.
func (c *recentClosing) learn(why watcher.Reason) {
	if !c.sure && why.Exit.How != owner.Unknown {
		c.sure = true
		c.past.Reason = why.String()
	}
}

// explained returns the closings whose reason has arrived now.
func (r *Recorder) explained(e watcher.Event) []closing {
	var news []closing
	for i := range r.recent {
		if c := &r.recent[i]; c.server == e.ID() && !c.sure {
			c.learn(e.Reason)
			news = append(news, c.closing)
		}
	}
	return news
}

// pastOf returns the record of a listener that closed.
func pastOf(l server.Listener, why watcher.Reason, at time.Time) Past {
	p := Past{
		Port: l.Port, PID: l.Owner.PID,
		Name: l.Name(), Project: l.Facts.Project.Name, Tool: l.Facts.Tool.Name, Process: l.Owner.Name,
		Directory: l.Directory(), Container: cmp.Or(l.Container.Name, l.Container.ID),
		Started: l.Owner.Since, Closed: at, Reason: why.String(), Restarts: l.Restarts,
	}
	return p.clean()
}

// Run writes the news from Note until ctx is done, and then the rest. It writes at most once every few seconds, and
// only if there is news. It repeats a failed write later, and logs only the first failure in a row.
func (r *Recorder) Run(ctx context.Context) {
	var (
		waiting []closing
		due     <-chan time.Time
		next    time.Time // the earliest time of the next write
	)
	for {
		select {
		case news := <-r.news:
			waiting = joined(waiting, r.relevant(news))
			if due == nil && len(waiting) > 0 {
				due = time.After(max(batchDelay, time.Until(next)))
			}
		case <-due:
			due, next = nil, time.Now().Add(pause)
			if r.write(waiting) {
				waiting = nil
			} else {
				due = time.After(pauseFailed)
			}
		case <-ctx.Done():
			select {
			case news := <-r.news:
				waiting = joined(waiting, r.relevant(news))
			default:
			}
			if len(waiting) > 0 {
				r.write(waiting)
			}
			return
		}
	}
}

// relevant drops the closings of short-lived listeners on system-assigned ports. If they restarted, only the restarts
// stay. A process that takes thousands of such ports may get one of them twice. This is not a restart.
func (r *Recorder) relevant(news []closing) []closing {
	if r.handedOut == nil {
		var s port.System
		s.First, s.Last, _ = port.Ephemeral() // if unknown, the range of RFC 6335 counts
		r.handedOut = s.HandedOut
	}
	for i, c := range news {
		news[i].brief = c.lived < shortLived && r.handedOut(c.past.Port)
	}
	return slices.DeleteFunc(news, func(c closing) bool {
		restarted := c.now != (server.ID{}) && c.now != c.was
		return c.brief && !restarted && c.past.Restarts == 0
	})
}

// write adds closings to the file, and reports success.
func (r *Recorder) write(news []closing) bool {
	err := r.merge(news, time.Now())
	if err != nil && !r.failing {
		slog.Warn("closed servers are not remembered", "err", err)
	}
	r.failing = err != nil
	return err == nil
}

// merge adds closings to the current file. It renames an invalid file first.
func (r *Recorder) merge(news []closing, now time.Time) error {
	if !r.swept {
		trusted.Sweep(filepath.Dir(r.file), tmpPrefix, now)
		r.swept = true
	}
	seen, before, err := load(r.file, r.boot, now)
	if errors.Is(err, errBroken) {
		aside := r.file + ".broken"
		if failed := os.Rename(r.file, aside); failed != nil {
			return errors.Join(err, failed)
		}
		slog.Warn("the history file was invalid and has a new name now", "as", aside, "err", err)
	} else if err != nil {
		return err
	}
	for _, c := range news {
		seen.add(c)
	}
	seen.Boot = r.boot
	seen.tidy(now, r.handedOut)
	if before == nil && len(seen.Closed)+len(seen.Live) == 0 {
		return nil
	}
	text, err := seen.encode()
	if err == nil && !bytes.Equal(text, before) {
		err = replace(r.file, text)
	}
	if err != nil {
		return fmt.Errorf("write the history file %s: %w", r.file, err)
	}
	return nil
}
