package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

const (
	maxPorts = 100 // the latest closings, one for each port
	// maxHandedOut limits the entries on system-assigned ports. A test suite may open thousands of these ports, and
	// must not displace servers with fixed ports.
	maxHandedOut = 25
	maxAge       = 30 * 24 * time.Hour
	// skew is how far in the future a time may lie, because clocks are adjusted.
	skew = time.Minute

	maxText = 120 // characters
	maxDir  = 512
	maxID   = 256 // bytes of a container's ID, as in package engine
)

// contents are the contents of the file. They are sorted, the latest first, with one closing for each port.
type contents struct {
	Boot   string `json:"boot,omitempty"` // identifies the start of the computer that Live belongs to
	Closed []Past `json:"closed"`
	Live   []live `json:"live,omitempty"`
}

// A live is a server that has restarted. It still listened when a watcher last saw it.
type live struct {
	Port      uint16    `json:"port"`
	PID       int32     `json:"pid,omitempty"`
	Start     uint64    `json:"start,omitempty"`
	Container string    `json:"container,omitempty"`
	Restarts  int       `json:"restarts"`
	Seen      time.Time `json:"seen"` // the last restart
}

func (l live) id() server.ID {
	return server.ID{Port: l.Port, PID: l.PID, Start: l.Start, Container: l.Container}
}

// decode parses the file's text. It rejects records that this program cannot have written, because a wrong fact is
// worse than none. It drops old entries, and moves times in the future to now.
func decode(text []byte, now time.Time) (contents, error) {
	var c *contents
	if err := json.Unmarshal(text, &c); err != nil {
		return contents{}, err
	}
	if c == nil {
		return contents{}, errors.New("it is empty")
	}
	for i, p := range c.Closed {
		if p.Port == 0 || p.PID < 0 || p.Restarts < 0 || p.Closed.IsZero() {
			return contents{}, fmt.Errorf("closing %d is impossible: port %d, PID %d, %d restarts, at %v",
				i, p.Port, p.PID, p.Restarts, p.Closed)
		}
		c.Closed[i] = p.clean()
	}
	for i, l := range c.Live {
		known := l.PID > 0 || l.PID == 0 && l.Container != ""
		named := len(l.Container) <= maxID && l.Container == owner.Printable(l.Container, 0)
		if l.Port == 0 || !known || !named || l.Restarts < 1 || l.Seen.IsZero() {
			return contents{}, fmt.Errorf("live server %d is impossible: port %d, PID %d, %d restarts, at %v",
				i, l.Port, l.PID, l.Restarts, l.Seen)
		}
		c.Live[i].Seen = stamp(l.Seen)
	}
	c.Boot = owner.Printable(c.Boot, maxText)
	c.tidy(now, func(uint16) bool { return false })
	return *c, nil
}

// encode returns the text for the file, at most maxFile bytes.
func (c contents) encode() ([]byte, error) {
	text, err := json.MarshalIndent(c, "", " ")
	return append(text, '\n'), err
}

// clean removes control characters from the texts of p, shortens them, and rounds its times as the file does.
func (p Past) clean() Past {
	for _, text := range []*string{&p.Name, &p.Project, &p.Tool, &p.Process, &p.Container, &p.Reason} {
		*text = owner.Printable(*text, maxText)
	}
	p.Directory = owner.Printable(p.Directory, maxDir)
	if p.Closed = stamp(p.Closed); p.Started.After(p.Closed) || p.Started.Unix() <= 0 {
		p.Started = time.Time{} // unknown, or wrong after a change of the clock
	} else {
		p.Started = stamp(p.Started)
	}
	return p
}

// stamp returns a time in the precision and zone of the file.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// limitTimes moves times in the future to now. They were written before the clock was set back. In the future they
// would hide all later closings until that time.
func (c *contents) limitTimes(now time.Time) {
	for i := range c.Closed {
		if p := &c.Closed[i]; p.Closed.Sub(now) > skew {
			p.Closed = stamp(now)
			if p.Started.After(p.Closed) {
				p.Started = time.Time{}
			}
		}
	}
	for i := range c.Live {
		if l := &c.Live[i]; l.Seen.Sub(now) > skew {
			l.Seen = stamp(now)
		}
	}
}

// tidy sorts the contents, and drops old entries and those beyond the limits.
func (c *contents) tidy(now time.Time, handedOut func(port uint16) bool) {
	outdated := func(t time.Time) bool { return now.Sub(t) > maxAge }
	c.limitTimes(now)
	slices.SortStableFunc(c.Closed, func(a, b Past) int { return b.Closed.Compare(a.Closed) })
	ports, room := map[uint16]bool{}, maxHandedOut
	fits := func(port uint16) bool {
		if handedOut(port) {
			room--
		}
		return room >= 0 || !handedOut(port)
	}
	c.Closed = slices.DeleteFunc(c.Closed, func(p Past) bool {
		again := ports[p.Port]
		ports[p.Port] = true
		return again || outdated(p.Closed) || !fits(p.Port)
	})
	c.Closed = c.Closed[:min(len(c.Closed), maxPorts)]

	slices.SortStableFunc(c.Live, func(a, b live) int { return b.Seen.Compare(a.Seen) })
	room = maxHandedOut
	c.Live = slices.DeleteFunc(c.Live, func(l live) bool { return outdated(l.Seen) || !fits(l.Port) })
	c.Live = c.Live[:min(len(c.Live), maxPorts)]
}

func (c contents) closedOn(port uint16) int {
	return slices.IndexFunc(c.Closed, func(p Past) bool { return p.Port == port })
}

// restarts returns the number of restarts of a server.
func (c contents) restarts(id server.ID) int {
	if i := slices.IndexFunc(c.Live, func(l live) bool { return l.id() == id }); i >= 0 {
		return c.Live[i].Restarts
	}
	return 0
}

// add adds a closing. The same closing may be there already: from another porttray, or without its reason. Then add
// merges both into one.
func (c *contents) add(n closing) {
	p, at := n.past.clean(), c.closedOn(n.past.Port)
	again := at >= 0 && c.Closed[at].is(p)
	if again {
		p = c.Closed[at].with(p, n.sure)
	} else {
		p.Restarts = max(p.Restarts, c.restarts(n.was))
	}
	restarts := max(p.Restarts+1, c.restarts(n.now))
	c.Live = slices.DeleteFunc(c.Live, func(l live) bool { return l.id() == n.was || l.id() == n.now })
	if n.now != (server.ID{}) {
		c.Live = append(c.Live, live{n.now.Port, n.now.PID, n.now.Start, n.now.Container, restarts, p.Closed})
	}
	switch {
	case n.brief:
	case at < 0:
		c.Closed = append(c.Closed, p)
	case again, !c.Closed[at].Closed.After(p.Closed):
		c.Closed[at] = p
	}
}

// is reports whether p and q describe the same closing. Two watchers see it at different instants.
func (p Past) is(q Past) bool {
	return p.Port == q.Port && p.PID == q.PID && p.Container == q.Container &&
		p.Closed.Sub(q.Closed).Abs() <= watcher.RestartGrace
}

// with merges two records of one closing. The reason in q counts if it is sure, or if p has none.
func (p Past) with(q Past, sure bool) Past {
	q.Restarts = max(p.Restarts, q.Restarts)
	if p.Closed.Before(q.Closed) {
		q.Closed = p.Closed
	}
	if p.Reason != "" && !sure {
		q.Reason = p.Reason
	}
	return q
}
