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

// A ledger holds the changes that the test made. It checks that each change has its notice, and that each notice has
// its change. It never waits: review looks at a change once its time is up.
type ledger struct {
	changes []*change
	lag     time.Duration // time that does not count, because the machine was busy
	wild    []wildcard
	told    []toldNotice // the latest
	counts  map[what]int // number of notices
	checked int          // changes that were told
	excused int          // changes that were not told, with an excuse
}

// A what is a kind of statement about a port in a notice.
type what string

const (
	isUp       what = "up"
	isDown     what = "down"
	isReplaced what = "replaced"
	isExposed  what = "exposed"
	isLooping  what = "looping"
	isOutcome  what = "outcome" // the result of a Stop or Kill
	isBack     what = "back"
	isWrong    what = "wrong settings"
	isNoHost   what = "no panel"
	isAbout    what = "about"
)

const (
	// toldWithin is the longest time from a change to its notice. The wait for a restart, the gathering of notices and
	// the pause between two notices make 13 seconds. The rest is for busy machines.
	toldWithin = time.Minute
	// toldAtAll is how long after a change hear still accepts a notice about it.
	toldAtAll = 90 * time.Second
	// forgotten is how long the ledger keeps a change.
	forgotten = 5 * time.Minute
)

// A change is one action of the test.
type change struct {
	step   int
	port   uint16
	of     subject // the zero value if rules and choices do not matter
	at     time.Time
	lag    time.Duration // the lag of the ledger at that time
	may    []what        // the notices that may come, each once
	must   bool          // at least one of may has to come
	excuse string        // why no notice has to come after all
	silent string        // why no notice may come; empty if one may
	reason string        // the reason of an end, if the system tells it
	by     int           // the process that closed the port but still runs; 0 if none
	names  string        // the notice has to name this, unless its owner was found too late; empty if unknown
	told   map[what]bool // the notices that came
	done   bool
}

func (c *change) String() string {
	return fmt.Sprintf("%s step %d: port %d, may %q, must %v, excuse %q, silent %q, told %v",
		c.at.Format("15:04:05.000"), c.step, c.port, c.may, c.must, c.excuse,
		c.silent, c.told)
}

// A subject identifies a server for rules and choices.
type subject struct {
	port          uint16
	project, name string
}

// A wildcard is a change that a notice counts but does not name, for lack of room.
type wildcard struct {
	what what
	at   time.Time
}

type toldNotice struct {
	at time.Time
	note
}

// A claim is the statement of a notice about one port. Port 0 means that it names none.
type claim struct {
	what what
	port uint16
}

// add records a change that the test is about to make or has just made.
func (l *ledger) add(c *change) *change {
	c.at, c.lag, c.told = time.Now(), l.lag, map[what]bool{}
	l.changes = append(l.changes, c)
	return c
}

// age returns the time since a change, without the lag since then.
func (l *ledger) age(c *change, now time.Time) time.Duration { return now.Sub(c.at) - (l.lag - c.lag) }

// excuse allows both a notice and silence about the open changes that of selects.
func (l *ledger) excuse(why string, of func(*change) bool) {
	for _, c := range l.changes {
		if !c.done && of(c) {
			c.excuse, c.silent = why, ""
		}
	}
}

// hear records a notice. It returns an error if the notice is not true.
func (l *ledger) hear(n note, now time.Time) error {
	l.told = append(l.told, toldNotice{now, n})
	l.told = l.told[max(0, len(l.told)-20):]
	claims, err := claimsOf(n)
	if err != nil {
		return err
	}
	for _, c := range claims {
		l.counts[c.what]++
		if c.port == 0 && (c.what == isDown || c.what == isUp || c.what == isReplaced || c.what == isExposed ||
			c.what == isLooping) {
			l.wild = append(l.wild, wildcard{c.what, now})
			continue
		}
		if err := l.settle(c, n, now); err != nil {
			return err
		}
	}
	return nil
}

// settle finds the change behind a claim and marks it as told. It returns an error if there is none.
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
		// Prefer a change that agrees with the claim, then one that still needs a notice, then the latest.
		err := found.denies(c, n)
		if best == nil || why != nil && err == nil || (why == nil) == (err == nil) && found.owed() && !best.owed() {
			best, why = found, err
		}
	}
	switch {
	case best == nil && late != nil:
		return fmt.Errorf("%v is told twice (%v)", n, late)
	case best == nil:
		return fmt.Errorf("%v is told, but did not happen: %s on port %d", n, c.what, c.port)
	case why == nil:
		best.told[c.what] = true
	}
	return why
}

// denies returns an error if a claim does not fit the change.
func (c *change) denies(told claim, n note) error {
	single := !strings.Contains(n.body, ", ") && !gathered.MatchString(n.summary)
	switch {
	case c.silent != "":
		return fmt.Errorf("%v is told although %s (%v)", n, c.silent, c)
	case told.what == isDown && single && !truthful(n.body, c.reason):
		return fmt.Errorf("%v is told, but it %s (%v)", n, c.reason, c)
	case single && c.names != "" && !strings.Contains(n.summary, c.names) &&
		!strings.HasPrefix(n.summary, c.of.name+" (:"):
		return fmt.Errorf("%v does not name %q (%v)", n, c.names, c)
	}
	return nil
}

// owed reports whether a change still needs a notice.
func (c *change) owed() bool { return c.must && c.excuse == "" && len(c.told) == 0 }

// truthful reports whether a notice gives the right reason of an end, or says that the reason is not known.
func truthful(told, reason string) bool {
	return reason == "" || told == reason || told == "ended" || told == "the reason is unknown"
}

// review checks the changes whose time is up. It returns an error for the first one without its notice.
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
			return fmt.Errorf("there was no notice about: %v", c)
		}
	}
	l.changes = slices.DeleteFunc(l.changes, func(c *change) bool { return l.age(c, now) > forgotten })
	l.wild = slices.DeleteFunc(l.wild, func(w wildcard) bool { return now.Sub(w.at) > forgotten })
	return nil
}

// takeWild reports whether a wildcard can stand for a change, and uses it up.
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

// titles are the titles of notices about at most one port. The first group is the port, if the title has it.
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
	{regexp.MustCompile(`^The old settings stay in use$`), isWrong},
	{regexp.MustCompile(`^porttray cannot show its icon$`), isNoHost},
	{regexp.MustCompile(`^porttray \S+$`), isAbout},
}

// gathered matches the title of a notice about several servers.
var (
	gathered = regexp.MustCompile(`^(\d+) ports? (.*)$`)
	counted  = regexp.MustCompile(`(?:(\d+) )?(closed|opened|taken over|open to the network|` +
		`restarting again and again)`)
	ofBody    = regexp.MustCompile(`^port (\d+)\b`)
	gatherers = map[string]what{"closed": isDown, "opened": isUp, "taken over": isReplaced,
		"open to the network": isExposed, "restarting again and again": isLooping}
)

// claimsOf returns the claims of a notice.
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
	return nil, fmt.Errorf("%v is an unknown kind of notice", n)
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
				break // cut in the middle of the port
			}
			return nil, fmt.Errorf("%q names %q, want a port and a name", title, name)
		}
		claims[i].port = uint16(port)
	}
	return claims, nil
}
