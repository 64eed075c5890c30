//go:build linux && soak

package tray_test

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The ledger holds what the test did, and looks for a notice of each of it, and for something of it behind each notice. It never waits:
// a change has a time by which it is looked back at.
type ledger struct {
	changes []*change
	lag     time.Duration // for which the machine was so busy with other things that it does not count
	wild    []wildcard
	told    []toldNotice // the latest
	counts  map[what]int // of notices
	checked int          // changes that had to be told, and were
	excused int          // others of them, that were not, for a reason
}

// A what is what a notice can say of a port.
type what string

const (
	isUp       what = "up"
	isDown     what = "down"
	isReplaced what = "replaced"
	isExposed  what = "exposed"
	isLooping  what = "looping"
	isOutcome  what = "outcome" // of a Stop or Kill
	isBack     what = "back"
	isWrong    what = "wrong settings"
	isNoHost   what = "no panel"
	isAbout    what = "about"
)

const (
	// toldWithin is how long after a change it is told at the latest. That a restart is waited for, that notices are gathered, and the time
	// between two of them make 13 seconds; the rest is for machines that have other things to do.
	toldWithin = time.Minute
	// toldAtAll is how long after a change a notice can be one of it.
	toldAtAll = 90 * time.Second
	// forgotten is how long a change is kept.
	forgotten = 5 * time.Minute
)

// A change is something that the test did.
type change struct {
	step   int
	port   uint16
	of     subject // whose it is; the zero value if wishes do not matter
	at     time.Time
	lag    time.Duration // until then
	may    []what        // what may be told of it, each once
	must   bool          // one of that has to be
	excuse string        // why it need not be, after all
	silent string        // why nothing of it may be told; empty if that is not so
	reason string        // of an end, where the system tells
	by     int           // the process that goes on without the port; 0 if it is no such end
	names  string        // what the notice has to name, but where whose server it is took too long to find out; empty if that is not known
	told   map[what]bool // what was
	done   bool
}

func (c *change) String() string {
	return fmt.Sprintf("%s step %d: port %d, may %q, must %v, excuse %q, silent %q, told %v", c.at.Format("15:04:05.000"), c.step, c.port, c.may, c.must, c.excuse,
		c.silent, c.told)
}

// A subject is what rules and choices are about.
type subject struct {
	port          uint16
	project, name string
}

// A wildcard is a change that a notice counts, but has no room to name.
type wildcard struct {
	what what
	at   time.Time
}

type toldNotice struct {
	at time.Time
	note
}

// A claim is what a notice says of one port; of none if that is 0.
type claim struct {
	what what
	port uint16
}

// add enters something that the test is about to do, or has just done.
func (l *ledger) add(c *change) *change {
	c.at, c.lag, c.told = time.Now(), l.lag, map[what]bool{}
	l.changes = append(l.changes, c)
	return c
}

// age returns how long ago a change was, without the time that does not count.
func (l *ledger) age(c *change, now time.Time) time.Duration { return now.Sub(c.at) - (l.lag - c.lag) }

// excuse frees from having to be told, and from having to be silent, what may still be told.
func (l *ledger) excuse(why string, of func(*change) bool) {
	for _, c := range l.changes {
		if !c.done && of(c) {
			c.excuse, c.silent = why, ""
		}
	}
}

// hear takes in a notice. An error says that it is not true.
func (l *ledger) hear(n note, now time.Time) error {
	l.told = append(l.told, toldNotice{now, n})
	l.told = l.told[max(0, len(l.told)-20):]
	claims, err := claimsOf(n)
	if err != nil {
		return err
	}
	for _, c := range claims {
		l.counts[c.what]++
		if c.port == 0 && (c.what == isDown || c.what == isUp || c.what == isReplaced || c.what == isExposed || c.what == isLooping) {
			l.wild = append(l.wild, wildcard{c.what, now})
			continue
		}
		if err := l.settle(c, n, now); err != nil {
			return err
		}
	}
	return nil
}

// settle finds the change that is behind a claim.
func (l *ledger) settle(c claim, n note, now time.Time) error {
	if c.what == isAbout {
		return nil
	}
	var late, best *change
	var why error
	for _, found := range slices.Backward(l.changes) {
		if found.port != c.port || !slices.Contains(found.may, c.what) || l.age(found, now) > toldAtAll {
			continue
		}
		if found.told[c.what] || found.told[isReplaced] && (c.what == isUp || c.what == isDown) {
			late = found
			continue
		}
		// The latest that it is true of, but rather one of which something has to be told.
		err := found.denies(c, n)
		if best == nil || why != nil && err == nil || (why == nil) == (err == nil) && found.owed() && !best.owed() {
			best, why = found, err
		}
	}
	switch {
	case best == nil && late != nil:
		return fmt.Errorf("%v is told twice (%v)", n, late)
	case best == nil:
		return fmt.Errorf("%v is told, and nothing of it happened: %s on port %d", n, c.what, c.port)
	case why == nil:
		best.told[c.what] = true
	}
	return why
}

// denies returns what is wrong with telling that of a change.
func (c *change) denies(told claim, n note) error {
	single := !strings.Contains(n.body, ", ") && !gathered.MatchString(n.summary)
	switch {
	case c.silent != "":
		return fmt.Errorf("%v is told although %s (%v)", n, c.silent, c)
	case told.what == isDown && single && !truthful(n.body, c.reason):
		return fmt.Errorf("%v is told, but it %s (%v)", n, c.reason, c)
	case single && c.names != "" && !strings.Contains(n.summary, c.names) && !strings.HasPrefix(n.summary, c.of.name+" (:"):
		return fmt.Errorf("%v does not name %q (%v)", n, c.names, c)
	}
	return nil
}

// owed reports whether something of a change has to be told still.
func (c *change) owed() bool { return c.must && c.excuse == "" && len(c.told) == 0 }

// truthful reports whether what a notice says about an end is how it was, or that it is not known.
func truthful(told, reason string) bool {
	return reason == "" || told == reason || told == "ended" || told == "why is not known"
}

// review looks back at what had to be told by now, and returns the first that was not.
func (l *ledger) review(now time.Time) error {
	for _, c := range l.changes {
		if c.done || l.age(c, now) < toldWithin {
			continue
		}
		c.done = true
		switch {
		case len(c.told) > 0:
			l.checked++
		case !c.must:
		case c.excuse != "":
			l.excused++
		case !l.takeWild(c):
			return fmt.Errorf("it was not told: %v", c)
		}
	}
	l.changes = slices.DeleteFunc(l.changes, func(c *change) bool { return l.age(c, now) > forgotten })
	l.wild = slices.DeleteFunc(l.wild, func(w wildcard) bool { return now.Sub(w.at) > forgotten })
	return nil
}

// takeWild reports whether a notice without room for names can have told of a change.
func (l *ledger) takeWild(c *change) bool {
	for i, w := range l.wild {
		if slices.Contains(c.may, w.what) && !w.at.Before(c.at) {
			l.wild = slices.Delete(l.wild, i, i+1)
			l.checked++
			return true
		}
	}
	return false
}

// What notices say, as far as they name one port. The first group is the port, if it is in the title.
var titles = []struct {
	*regexp.Regexp
	what what
}{
	{regexp.MustCompile(`\((?:.* )?:(\d+)\) is up$`), isUp},
	{regexp.MustCompile(` is on (\d+): \d+ is held by .*\(PID \d+`), isUp},
	{regexp.MustCompile(`\((?:.* )?:(\d+)\) (?:stopped|crashed)(?: after .*)?$`), isDown},
	{regexp.MustCompile(`^(\d+) is now .* \(was .*\)$`), isReplaced},
	{regexp.MustCompile(`^Port (\d+) is (?:free|still in use)$`), isOutcome},
	{regexp.MustCompile(`^Port (\d+) was taken over$`), isOutcome},
	{regexp.MustCompile(`^Port (\d+): nothing was (?:stopped|killed|opened or copied)$`), isOutcome},
	{regexp.MustCompile(`^(\d+) is back`), isBack},
	{regexp.MustCompile(` is now reachable from the network$`), isExposed},
	{regexp.MustCompile(` keeps restarting$`), isLooping},
	{regexp.MustCompile(`^The settings stay as they were$`), isWrong},
	{regexp.MustCompile(`^porttray has no place to show its icon$`), isNoHost},
	{regexp.MustCompile(`^porttray \S+$`), isAbout},
}

// gathered is the title of a notice about several servers.
var (
	gathered  = regexp.MustCompile(`^(\d+) ports? (.*)$`)
	counted   = regexp.MustCompile(`(?:(\d+) )?(closed|opened|taken over|open to the network|restarting again and again)`)
	ofBody    = regexp.MustCompile(`^port (\d+)\b`)
	gatherers = map[string]what{"closed": isDown, "opened": isUp, "taken over": isReplaced, "open to the network": isExposed, "restarting again and again": isLooping}
)

// claimsOf returns what a notice says.
func claimsOf(n note) ([]claim, error) {
	body := html.UnescapeString(n.body)
	if m := gathered.FindStringSubmatch(n.summary); m != nil && counted.MatchString(m[2]) {
		return gatheredClaims(m[1]+" "+m[2], body)
	}
	for _, t := range titles {
		m := t.FindStringSubmatch(n.summary)
		if m == nil {
			continue
		}
		digits := "0"
		if len(m) > 1 {
			digits = m[1]
		} else if b := ofBody.FindStringSubmatch(body); b != nil {
			digits = b[1]
		}
		port, err := strconv.ParseUint(digits, 10, 16)
		return []claim{{t.what, uint16(port)}}, err
	}
	return nil, fmt.Errorf("%v is no notice that there is a reason for", n)
}

// gatheredClaims reads "2 closed, 1 opened" and "28000 shop · web, 28004 blog, 28002 …".
func gatheredClaims(title, body string) (claims []claim, err error) {
	for _, m := range counted.FindAllStringSubmatch(title, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, fmt.Errorf("%q counts nothing", title)
		}
		for range n {
			claims = append(claims, claim{what: gatherers[m[2]]})
		}
	}
	named := strings.Split(body, ", ")
	cut := strings.HasSuffix(body, "…")
	if len(named) != len(claims) && !cut {
		return nil, fmt.Errorf("%q has %d names: %q", title, len(named), body)
	}
	for i, name := range named {
		digits, _, whole := strings.Cut(name, " ")
		port, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || !whole || i >= len(claims) {
			if cut && i == len(named)-1 {
				break // in the middle of the port
			}
			return nil, fmt.Errorf("%q names %q", title, name)
		}
		claims[i].port = uint16(port)
	}
	return claims, nil
}
