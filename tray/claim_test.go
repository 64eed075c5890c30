package tray

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"porttray/watcher"
)

// A claim is one thing that happened, and whether a notice must report it.
type claim struct {
	of   *actor
	kind string // "up", "end", "taken", "loop" (keeps restarting), "wide" (other machines can reach it)
	verdict
	when span // the notice is due within it
	told bool
}

// A token is one fact in a notice. Its name is empty if the notice had no room for it.
type token struct {
	kind, name string
	port       int
	at         time.Time
	title      string
}

// claims returns everything that happened.
func (b *ledger) claims() (all []*claim) {
	for _, a := range b.actors {
		lives := b.lives[a]
		looped, silent, sure := b.crashed(lives)
		for i, l := range lives {
			v, when := b.startOf(lives, i)
			all = append(all, &claim{of: a, kind: "up", verdict: v, when: when})
			all = append(all, b.widened(lives, i)...)
			if l.ended.IsZero() {
				continue
			}
			kind := "end"
			if l.run.own { // a notice of the new owner is still due
				all = append(all, &claim{of: a, kind: "taken", verdict: perhaps,
					when: span{l.ended, l.ended.Add(crowded)}})
			}
			v, when = b.endOf(lives, i)
			switch {
			case !sure && (watcher.Reason{Exit: l.run.exit}).Crashed():
				v = min(v, perhaps)
				all = append(all, &claim{of: a, kind: "loop", verdict: v, when: when})
			case silent[l]:
				v = never
			case looped[l]:
				kind = "loop"
			}
			all = append(all, &claim{of: a, kind: kind, verdict: v, when: when})
		}
		all = append(all, b.loops(lives)...)
	}
	return all
}

// widened returns the claims for an actor's i-th life becoming reachable from other machines.
func (b *ledger) widened(lives []*life, i int) (all []*claim) {
	l := lives[i]
	if l.born && i > 0 { // it may be a restart, so no notice is needed
		all = append(all, &claim{of: l.of, kind: "wide", verdict: perhaps,
			when: span{l.began, l.began.Add(tellWithin + time.Millisecond)}})
	}
	for n, at := range l.widened {
		when := span{at, at.Add(tellWithin + time.Millisecond)}
		v := must
		switch {
		case n == 0 && l.born, n > 0 && l.of.kind == 'u':
			v = perhaps
		case n > 0: // once is enough
			v = never
		case b.familiar(lives, i) == never:
			v = never
		case b.familiar(lives, i) != must, !l.ended.IsZero() && l.ended.Before(when.to), l.unknown.After(at),
			at.Sub(l.began) <= minLifetime && !l.began.IsZero():
			v = perhaps
		}
		all = append(all, &claim{of: l.of, kind: "wide", verdict: min(v, b.stable(l.of, false, at, when.to)),
			when: when})
	}
	return all
}

// loops returns the claims for an actor that restarts again and again.
func (b *ledger) loops(lives []*life) (all []*claim) {
	var at []time.Time
	var last time.Time // the last time that it counted as a loop
	clear := true
	for i, l := range lives {
		if i == 0 || l.began.Sub(lives[i-1].ended) > watcher.RestartGrace {
			continue
		}
		if l.unknown != (time.Time{}) || b.familiar(lives, i-1) != must || lives[i-1].run.own || lives[i-1].run.maybe ||
			b.contended(l.of, lives[i-1].ended, l.began) {
			clear = false
		}
		at = slices.DeleteFunc(append(at, l.began), func(t time.Time) bool { return l.began.Sub(t) >= loopSpan })
		if len(at) < loopCount {
			continue
		}
		when := span{l.began, l.began.Add(tellWithin + time.Millisecond)}
		v := perhaps
		if clear && last.IsZero() {
			v = min(must, b.stable(l.of, false, when.from, when.to))
		}
		if last.IsZero() || l.began.Sub(last) >= loopSpan || !clear {
			all = append(all, &claim{of: l.of, kind: "loop", verdict: v, when: when})
		}
		last = l.began
	}
	return all
}

// check compares the notices with the ledger.
func (b *ledger) check(t *testing.T) {
	claims := b.claims()
	wild := map[string][]token{}
	for _, token := range b.tokens(t) {
		if token.name == "" {
			wild[token.kind] = append(wild[token.kind], token)
			continue
		}
		if c := pick(claims, token); c != nil {
			c.told = true
			continue
		}
		t.Errorf("at %v, told without a cause: %s of %s on %d",
			token.at.Format("15:04:05.000"), token.kind, token.name, token.port)
	}
	for _, c := range claims {
		if c.verdict != must || c.told {
			continue
		}
		i := slices.IndexFunc(wild[c.kind], func(w token) bool { return c.fits(w.at) })
		if i < 0 {
			t.Errorf("never told: %s of %s, from %v to %v", c.kind, c.of.id(),
				c.when.from.Format("15:04:05.000"), c.when.to.Format("15:04:05.000"))
			continue
		}
		wild[c.kind] = slices.Delete(wild[c.kind], i, i+1)
	}
	if t.Failed() {
		t.Log(b)
	}
}

func (c *claim) fits(at time.Time) bool { return !at.Before(c.when.from) && !at.After(c.when.to) }

// pick returns the claim for a token. It prefers a claim that must have a notice to one that may.
func pick(claims []*claim, of token) (best *claim) {
	for _, c := range claims {
		if c.kind != of.kind && !(of.kind == "taken" && c.kind == "end") || c.of.name != of.name ||
			int(c.of.ports[0]) != of.port || c.told || c.verdict == never || !c.fits(of.at) {
			continue
		}
		if best == nil || c.verdict > best.verdict {
			best = c
		}
	}
	return best
}

// String returns the whole history.
func (b *ledger) String() string {
	var lines []string
	stamp := func(t time.Time) string { return t.Format("15:04:05.000") }
	for _, a := range b.actors {
		for _, l := range b.lives[a] {
			lines = append(lines, fmt.Sprintf("%s  %s until %s, %v, own %v, perhaps %v, wide %v, unknown until %s",
				stamp(l.began), a.id(), stamp(l.ended), l.run.exit, l.run.own, l.run.maybe, l.widened,
				stamp(l.unknown)))
		}
	}
	for _, s := range b.slept {
		lines = append(lines, fmt.Sprintf("%s  sleep, waking until %s", stamp(s.from), stamp(s.to)))
	}
	for _, w := range b.wants {
		lines = append(lines, fmt.Sprintf("%s  wants %v, paused until %s, muted %v, pinned %v, hidden %v, rule %v",
			stamp(w.from), w.mode, stamp(w.paused), w.muted, w.pinned, w.hidden, w.rule))
	}
	for _, n := range b.said {
		lines = append(lines, fmt.Sprintf("%s  SAID %s / %s", stamp(n.at), n.title, n.body))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// outcomes matches titles about the result of the person's own actions.
var outcomes = regexp.MustCompile(`^Port \d+|^\d+ is back|^Not permitted to |^Nothing was done`)

var (
	oneUp  = regexp.MustCompile(`^(\w+) \((?:container )?:(\d+)\) is up$`)
	oneEnd = regexp.MustCompile(`^(\w+) \((?:container )?:(\d+)\) ` +
		`(?:stopped|crashed|is gone since the computer slept)`)
	oneMoved = regexp.MustCompile(`^(\w+) is on (\d+): `)
	oneTaken = regexp.MustCompile(`^(\d+) is now (\w+) \(was (\w+)\)$`)
	oneLoop  = regexp.MustCompile(`^(\w+) keeps restarting$`)
	oneWide  = regexp.MustCompile(`^(\w+) is now reachable from the network$`)
	aPort    = regexp.MustCompile(`^port (\d+)[:,]`)
	someGone = regexp.MustCompile(`^(\d+) servers are gone since the computer slept$`)
	counted  = regexp.MustCompile(`(\d+) (?:ports? )?` +
		`(closed|opened|taken over|open to the network|restarting again and again)`)
	aName = regexp.MustCompile(`^(\d+) (\w+)(?: \(container\))?$`)
)

// tokens parses the notices, and checks the rules for every notice.
func (b *ledger) tokens(t *testing.T) (all []token) {
	var before time.Time
	for _, n := range b.said {
		if outcomes.MatchString(n.title) {
			continue
		}
		if !before.IsZero() && n.at.Sub(before) < apart {
			t.Errorf("%v after the one before: %q", n.at.Sub(before), n.title)
		}
		if utf8.RuneCountInString(n.title) > maxTitle || utf8.RuneCountInString(n.body) > maxTitle {
			t.Errorf("too long: %q / %q", n.title, n.body)
		}
		before = n.at
		n.title = strings.ReplaceAll(n.title, "unknown owner", "g")
		n.body = strings.ReplaceAll(n.body, "unknown owner", "g")
		read := b.read(n)
		if len(read) == 0 {
			t.Errorf("what does it say? %q / %q", n.title, n.body)
		}
		all = append(all, read...)
	}
	return all
}

// read returns the facts in a notice.
func (b *ledger) read(n told) []token {
	of := func(kind, name, port string) token {
		p, _ := strconv.Atoi(port)
		return token{kind, name, p, n.at, n.title}
	}
	port := ""
	if m := aPort.FindStringSubmatch(n.body); m != nil {
		port = m[1]
	}
	if m := oneUp.FindStringSubmatch(n.title); m != nil {
		return []token{of("up", m[1], m[2])}
	}
	if m := oneMoved.FindStringSubmatch(n.title); m != nil {
		return []token{of("up", m[1], m[2])}
	}
	if m := oneEnd.FindStringSubmatch(n.title); m != nil {
		return []token{of("end", m[1], m[2])}
	}
	if m := oneTaken.FindStringSubmatch(n.title); m != nil {
		return []token{of("up", m[2], m[1]), of("taken", m[3], m[1])}
	}
	if m := oneLoop.FindStringSubmatch(n.title); m != nil {
		return []token{of("loop", m[1], port)}
	}
	if m := oneWide.FindStringSubmatch(n.title); m != nil {
		return []token{of("wide", m[1], port)}
	}
	counts := counted.FindAllStringSubmatch(n.title, -1)
	if m := someGone.FindStringSubmatch(n.title); m != nil {
		counts = [][]string{{"", m[1], "closed"}}
	}
	names := strings.Split(n.body, ", ")
	var all []token
	for _, c := range counts {
		count, _ := strconv.Atoi(c[1])
		for range count {
			name, port := "", ""
			if len(names) > 0 {
				if m := aName.FindStringSubmatch(names[0]); m != nil {
					name, port = m[2], m[1]
				}
				names = names[1:]
			}
			switch c[2] {
			case "closed":
				all = append(all, of("end", name, port))
			case "opened":
				all = append(all, of("up", name, port))
			case "open to the network":
				all = append(all, of("wide", name, port))
			case "taken over":
				other := map[string]string{"a": "b", "b": "a"}[name]
				all = append(all, of("up", name, port), of("taken", other, port))
			default:
				all = append(all, of("loop", name, port))
			}
		}
	}
	return all
}
