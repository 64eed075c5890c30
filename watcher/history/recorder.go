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
	"porttray/watcher/trusted"
)

const (
	// settle is how long the first news waits for others that belong to it, such as how a server ended.
	settle = time.Second
	// pause is the least time between two writes, and pauseFailed that after one that failed.
	pause       = 5 * time.Second
	pauseFailed = time.Minute
	// fleeting is for how short a time a port that the system handed out was listened on if it is forgotten at once: test runs.
	fleeting = 10 * time.Second
	// recall is how long more may come to be known about a closing.
	recall = time.Minute
	// maxWaiting is how many closings wait to be written; of more than that, the latest.
	maxWaiting = 500
)

// A closing is a server that closed, as news.
type closing struct {
	past  Past
	was   watcher.ID    // its name; zero if it has none
	now   watcher.ID    // its name after its restart; zero if it did not restart
	sure  bool          // that past tells how it ended, not only that it did
	lived time.Duration // how long its port was listened on; the longest there is if nobody saw it open
	brief bool          // that it closed is forgotten at once, and only its restarts count
}

// A recalled is a closing of which more may come to be known.
type recalled struct {
	closing
	server  watcher.ID // the head of the server that the port was one of
	related bool       // it has become part of a restart or a replacement
}

// A Recorder writes down what closes and what restarts, for Read in this process or another one. Several may be at work at once, in
// several processes: each adds to what the file holds. They do not wait for each other; should two write at the same instant,
// what only one of them has seen can get lost.
type Recorder struct {
	file string // empty if there is no place for it
	boot string

	news chan []closing

	// These belong to the goroutine that calls Note.
	opened map[uint16]time.Time // when a port was last seen to open
	recent []recalled           // the latest last

	// These belong to the goroutine of Run.
	handedOut func(port uint16) bool // nil until something closed
	swept     bool
	failing   bool // the last write failed
}

// NewRecorder returns a recorder for this user's file. Where the system tells no place for it, that is logged, and nothing is
// written.
func NewRecorder() *Recorder {
	file, err := File()
	if err != nil {
		slog.Warn("what closes is not remembered", "err", err)
		file = ""
	}
	return newRecorder(file)
}

func newRecorder(file string) *Recorder {
	return &Recorder{file: file, boot: boot(), news: make(chan []closing, 1), opened: map[uint16]time.Time{}}
}

// Note takes in an update. It never blocks, and it costs nothing when nothing opened, closed or restarted. It is to be called with
// all updates of a Watcher, by one goroutine at a time.
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
	r.news <- news // there is room: only this goroutine fills it
}

// joined returns what waits to be written, as much of it as there is room for.
func joined(earlier, later []closing) []closing {
	all := append(earlier, later...)
	return all[max(len(all)-maxWaiting, 0):]
}

// closings returns what closed, by itself or to restart or to be replaced, and the closings of which it is known only now how they
// ended. A server that closed is remembered on each of its ports that closed with it.
func (r *Recorder) closings(u watcher.Update) []closing {
	at := u.Snapshot.Time
	if len(u.Events) > 0 {
		r.recent = slices.DeleteFunc(r.recent, func(c recalled) bool { return at.Sub(c.past.Closed) > recall })
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

// closed returns the closings of those ports of a server that are gone now, and keeps them in mind.
func (r *Recorder) closed(s watcher.Server, why watcher.Reason, now watcher.Snapshot) []closing {
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
		r.recent = append(r.recent, recalled{closing: c, server: s.ID()})
		news = append(news, c)
	}
	r.recent = r.recent[max(len(r.recent)-maxWaiting, 0):]
	return news
}

// followed returns the closings of what was there before a restart or a replacement. They may have been told of before.
func (r *Recorder) followed(e watcher.Event, now watcher.Snapshot) []closing {
	at := now.Time
	var news []closing
	i := r.lately(e, at)
	if i < 0 {
		news = r.closed(e.Before, e.Reason, now)
		if i = r.lately(e, at); i < 0 {
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

// lately returns which of the recent closings is the one before a restart or a replacement. The watcher counts RestartGrace from the
// delivery of updates, which it may hold back for a moment.
func (r *Recorder) lately(e watcher.Event, at time.Time) int {
	for i, c := range slices.Backward(r.recent) {
		if c.server == e.Before.ID() && c.past.Port == e.Port && !c.related && at.Sub(c.past.Closed) <= watcher.RestartGrace+time.Second {
			return i
		}
	}
	return -1
}

// learn takes in a reason that says more than the one before.
func (c *recalled) learn(why watcher.Reason) {
	if !c.sure && why.Exit.How != owner.Unknown {
		c.sure = true
		c.past.Reason = why.String()
	}
}

// explained returns the closings of which it is known only now how they ended.
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
func pastOf(l watcher.Listener, why watcher.Reason, at time.Time) Past {
	p := Past{
		Port: l.Port, PID: l.Owner.PID,
		Name: l.Name(), Project: l.Facts.Project.Name, Tool: l.Facts.Tool.Name, Process: l.Owner.Name, Directory: l.Directory(),
		Container: cmp.Or(l.Container.Name, l.Container.ID),
		Started:   l.Owner.Since, Closed: at, Reason: why.String(), Restarts: l.Restarts,
	}
	return p.clean()
}

// Run writes down what Note has taken in, until ctx is done, and then what is left to write. It writes at most once in some
// seconds, and never when there is no news. A write that fails is tried again later; that is logged once until one has worked.
func (r *Recorder) Run(ctx context.Context) {
	var (
		waiting []closing
		due     <-chan time.Time
		next    time.Time // the earliest time of the next write
	)
	for {
		select {
		case news := <-r.news:
			waiting = joined(waiting, r.worthy(news))
			if due == nil && len(waiting) > 0 {
				due = time.After(max(settle, time.Until(next)))
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
				waiting = joined(waiting, r.worthy(news))
			default:
			}
			if len(waiting) > 0 {
				r.write(waiting)
			}
			return
		}
	}
}

// worthy returns the closings that somebody may ask about. Those of ports that the system handed out for a few seconds are left
// out, or count no more than as restarts. A process that takes thousands of such ports gets one of them again now and then; that
// is no restart either.
func (r *Recorder) worthy(news []closing) []closing {
	if r.handedOut == nil {
		var s port.System
		s.First, s.Last, _ = port.Ephemeral() // where it is not known, RFC 6335 is
		r.handedOut = s.HandedOut
	}
	for i, c := range news {
		news[i].brief = c.lived < fleeting && r.handedOut(c.past.Port)
	}
	return slices.DeleteFunc(news, func(c closing) bool {
		restarted := c.now != (watcher.ID{}) && c.now != c.was
		return c.brief && !restarted && c.past.Restarts == 0
	})
}

// write adds closings to the file, and reports whether they are in it now.
func (r *Recorder) write(news []closing) bool {
	err := r.merge(news, time.Now())
	if err != nil && !r.failing {
		slog.Warn("what closes is not remembered", "err", err)
	}
	r.failing = err != nil
	return err == nil
}

// merge adds closings to what the file holds by now. A file that makes no sense is put aside under another name first.
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
		slog.Warn("what was seen before does not count, and was put aside", "as", aside, "err", err)
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
		return fmt.Errorf("write what was seen to %s: %w", r.file, err)
	}
	return nil
}
