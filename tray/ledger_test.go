package tray

import (
	"slices"
	"time"

	"porttray/watcher"
)

// A ledger holds what really happened to each actor, as far as the loop was told of it, and what was said. What has to be said
// follows from the whole of it, with all that came later in view.
type ledger struct {
	said   []told
	lives  map[*actor][]*life
	actors []*actor
	wants  []wanting
	slept  []span
}

// A life is the time that one process of an actor was there.
type life struct {
	of           *actor
	run          *incarnation
	began, ended time.Time   // as the loop was told; zero if it was there from the start, or is still there
	widened      []time.Time // when it came within reach of other machines
	born, wide   bool        // whether it was so from the start, and is so
	unknown      time.Time   // until then it was not known whose it is
}

type span struct{ from, to time.Time }

func (s span) has(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

func (b *ledger) begin(actors []*actor, w taste) {
	b.actors, b.lives = actors, map[*actor][]*life{}
	b.wish(w)
}

func (b *ledger) wish(w taste) { b.wants = append(b.wants, wanting{time.Now(), w}) }

// look notes what the loop is about to be told.
func (b *ledger) look(now time.Time, actors []*actor, slept bool) {
	if last := len(b.slept) - 1; slept && last >= 0 && !now.After(b.slept[last].to) {
		b.slept[last].to = now.Add(waking)
	} else if slept {
		b.slept = append(b.slept, span{now, now.Add(waking)})
	}
	first := len(b.lives) == 0
	for _, a := range actors {
		lives := b.lives[a]
		var l *life
		if len(lives) > 0 && lives[len(lives)-1].ended.IsZero() {
			l = lives[len(lives)-1]
		}
		if l != nil && l.run != a.run {
			l.ended = now
			l = nil
		}
		if l == nil && a.run != nil {
			l = &life{of: a, run: a.run, began: now, born: a.run.wide, wide: a.run.wide}
			if first {
				l.began = time.Time{}
			}
			b.lives[a] = append(b.lives[a], l)
		}
		if l == nil {
			continue
		}
		if !l.run.known {
			l.unknown = now.Add(time.Hour)
		} else if l.unknown.After(now) {
			l.unknown = now
		}
		if l.run.wide && !l.wide {
			l.widened = append(l.widened, now)
		}
		l.wide = l.run.wide
	}
}

// A verdict says whether something is to be told.
type verdict int

const (
	never verdict = iota
	perhaps
	must
)

func (v verdict) String() string { return [...]string{"never", "perhaps", "must"}[v] }

// stable returns whether the person wants to be told of an actor during all that time; perhaps, if they changed their mind.
func (b *ledger) stable(a *actor, interrupted bool, from, to time.Time) verdict {
	var during []wanting
	for i, w := range b.wants {
		if !w.from.After(to) && (i+1 == len(b.wants) || !b.wants[i+1].from.Before(from)) {
			during = append(during, w)
		}
	}
	yes, no := false, false
	for _, then := range during { // when it happened
		for _, now := range during { // when it is told
			cares := now.cares(a, then.section(a), interrupted, later(from, now.from))
			yes, no = yes || cares, no || !cares
		}
	}
	switch {
	case yes && no:
		return perhaps
	case yes:
		return must
	}
	return never
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

const (
	// tellWithin is how long after it was decided something is told at the latest.
	tellWithin = together + apart
	// crowded is how long two actors that want one port are in each other's way.
	crowded = 2*watcher.RestartGrace + tellWithin
)

// contended reports whether another actor had the port in that time.
func (b *ledger) contended(a *actor, from, to time.Time) bool {
	return slices.ContainsFunc(b.actors, func(o *actor) bool {
		return o != a && o.ports[0] == a.ports[0] && slices.ContainsFunc(b.lives[o], func(l *life) bool {
			return !l.began.After(to) && (l.ended.IsZero() || !l.ended.Before(from))
		})
	})
}

// stoppedBefore reports whether the person tried to end what had the port of l right before.
func (b *ledger) stoppedBefore(l *life) bool {
	return slices.ContainsFunc(b.actors, func(o *actor) bool {
		return o.ports[0] == l.of.ports[0] && slices.ContainsFunc(b.lives[o], func(before *life) bool {
			return before.run.clicked && !before.ended.IsZero() && !before.ended.After(l.began) && l.began.Sub(later(before.ended, before.run.asked)) <= 5*time.Second
		})
	})
}

// asleep returns the sleep, with the time after it, in which something happened.
func (b *ledger) asleep(t time.Time) (span, bool) {
	i := slices.IndexFunc(b.slept, func(s span) bool { return s.has(t) })
	if i < 0 {
		return span{}, false
	}
	return b.slept[i], true
}

// runs reports whether an actor is there at that time.
func (b *ledger) runs(a *actor, at time.Time) bool {
	return slices.ContainsFunc(b.lives[a], func(l *life) bool { return !l.began.After(at) && (l.ended.IsZero() || l.ended.After(at)) })
}

// familiar reports whether the i-th life of an actor was long enough to be told of, together with those that it continues. It is
// perhaps, where another actor came in between.
func (b *ledger) familiar(lives []*life, i int) verdict {
	l := lives[i]
	switch {
	case l.began.IsZero(), l.ended.IsZero(), l.ended.Sub(l.began) > settled:
		return must
	case b.stoppedBefore(l), l.ended.Sub(l.began) == settled:
		return perhaps // the person was told that it has the port, or it ended as it became known
	case i == 0 || l.began.Sub(lives[i-1].ended) > watcher.RestartGrace:
		return never
	case b.contended(l.of, lives[i-1].ended, l.began):
		return perhaps
	}
	if lives[i-1].run.own || lives[i-1].run.maybe {
		return perhaps // the person knows it at any rate
	}
	if sleep, slept := b.asleep(lives[i-1].ended); slept && !l.began.Before(sleep.to) {
		return min(perhaps, b.familiar(lives, i-1)) // it was told that it is gone, and this is another beginning
	}
	return b.familiar(lives, i-1)
}

// endOf returns what is to be said of the end of an actor's i-th life, and between when and when it is said.
func (b *ledger) endOf(lives []*life, i int) (verdict, span) {
	l := lives[i]
	interrupted := watcher.Reason{Exit: l.run.exit}.Interrupted() && !l.run.vague
	decided := l.ended.Add(watcher.RestartGrace)
	when := span{decided, decided.Add(tellWithin + time.Millisecond)}
	v := b.familiar(lives, i)
	sleep, slept := b.asleep(l.ended)
	if slept {
		when = span{sleep.to, sleep.to.Add(tellWithin + time.Millisecond)}
		interrupted = false
	}
	if l.run.clicked { // what came of that may be awaited
		when.to = when.to.Add(actionPatience)
	}
	back := i+1 < len(lives) && lives[i+1].began.Sub(l.ended) <= watcher.RestartGrace
	crowd := b.contended(l.of, l.ended, l.ended.Add(watcher.RestartGrace))
	switch {
	case l.run.own && (l.run.open || l.of.kind == 'c') && !l.ended.Before(later(l.run.asked, l.run.hoped)):
		v = min(v, perhaps) // it is seen too late
	case l.run.own:
		return never, when
	case l.run.clicked && (back || crowd): // that it is back, or another one there, is an outcome
		v = min(v, perhaps)
	case l.of.kind == 'c' && slices.ContainsFunc(lives[:i], func(o *life) bool { return o.run.hoped.After(l.ended) }):
		v = min(v, perhaps) // a Stop is still under way
	case l.run.maybe, l.run.vague, l.unknown.After(l.ended), l.of.kind == 'u' && l.ended.Sub(l.unknown) < settled:
		v = min(v, perhaps)
	case slept && b.runs(l.of, sleep.to):
		if slices.ContainsFunc(lives[i+1:], func(o *life) bool { return o.unknown.After(sleep.to) }) {
			return min(v, perhaps), when
		}
		return never, when
	case slept:
		// However often it ended in that time, it is gone once.
		for j := i + 1; j < len(lives); j++ {
			if lives[j].run.clicked && sleep.has(lives[j].began) {
				v = min(v, perhaps) // the outcome tells that it is gone
			}
			if lives[j].ended.IsZero() || !sleep.has(lives[j].ended) {
				continue
			}
			switch b.familiar(lives, j) {
			case must:
				return never, when
			case perhaps:
				v = min(v, perhaps)
			}
		}
	case back && l.of.kind == 'u':
		v = min(v, perhaps) // that it was back may have been known too late
	case back && !crowd:
		return never, when
	case crowd && i+1 < len(lives) && lives[i+1].began.Sub(l.ended) <= 2*watcher.RestartGrace:
		v = min(v, perhaps) // another one had the port for a moment
	}
	if crowd && !slept {
		when = span{l.ended.Add(settled), l.ended.Add(crowded)}
	}
	wants := b.stable(l.of, interrupted, l.ended, when.to)
	if crowd && wants == never {
		wants = perhaps // of who has the port now the person wants to hear
	}
	if l.unknown.After(l.ended) {
		wants = min(wants, perhaps)
	}
	if l.of.kind == 'e' && slept {
		wants = min(wants, perhaps) // after a sleep only the main list counts
	}
	return min(v, wants), when
}

// crashed returns which of an actor's lives ended by a crash of which it was decided to tell, and whether that came to looping, or
// to silence about what crashes all the time. It is not known where others had the port.
func (b *ledger) crashed(lives []*life) (looped, silent map[*life]bool, sure bool) {
	looped, silent, sure = map[*life]bool{}, map[*life]bool{}, true
	var at []time.Time
	quiet := false
	for i, l := range lives {
		if l.ended.IsZero() || !(watcher.Reason{Exit: l.run.exit}).Crashed() {
			continue
		}
		if _, slept := b.asleep(l.ended); slept || l.run.own {
			continue
		}
		decided := l.ended.Add(watcher.RestartGrace)
		back := i+1 < len(lives) && !lives[i+1].began.After(decided)
		crowd := b.contended(l.of, l.ended, decided)
		if v := b.familiar(lives, i); crowd || back && l.of.kind == 'u' || v == perhaps || l.run.maybe || l.run.vague {
			sure = false
			continue
		} else if back || v == never {
			continue
		}
		if n := len(at); n > 0 && decided.Sub(at[n-1]) >= crashSpan {
			at, quiet = nil, false
		}
		at = append(at, decided)
		if !quiet {
			at = slices.DeleteFunc(at, func(t time.Time) bool { return decided.Sub(t) >= crashSpan })
		}
		silent[l] = quiet
		looped[l] = !quiet && len(at) >= crashCount
		quiet = quiet || looped[l]
	}
	return looped, silent, sure
}

// startOf returns what is to be said of the beginning of an actor's i-th life, and when.
func (b *ledger) startOf(lives []*life, i int) (verdict, span) {
	l := lives[i]
	when := span{l.began.Add(settled), l.began.Add(settled + tellWithin + time.Millisecond)}
	if wait := l.unknown.Sub(l.began); l.unknown != (time.Time{}) && wait > 0 { // it waits for its owner
		when.to = when.to.Add(wait)
	}
	stays := l.ended.IsZero() || l.ended.Sub(l.began) > settled+tellWithin+time.Millisecond
	_, slept := b.asleep(l.began)
	if !slept { // the owner of one that was there before may have been found only then
		_, slept = b.asleep(l.unknown)
	}
	v := must
	switch {
	case l.began.IsZero():
		return never, when
	case !l.ended.IsZero() && l.ended.Sub(l.began) < settled:
		return never, when
	case slept, !stays, l.unknown.After(l.began.Add(settled)), l.of.kind == 'u' && i > 0 && l.began.Sub(lives[i-1].ended) <= watcher.RestartGrace:
		v = perhaps
	case b.stoppedBefore(l): // that another one is there at once is an outcome
		v = perhaps
	case i > 0 && b.contended(l.of, lives[i-1].ended, l.began) && l.began.Sub(lives[i-1].ended) <= crowded:
		v = perhaps
	case i > 0 && lives[i-1].run.maybe && (!lives[i-1].run.own || l.of.kind == 'c'):
		v = perhaps
	case i > 0 && !lives[i-1].run.own && l.began.Sub(lives[i-1].ended) <= watcher.RestartGrace:
		v = never
		if b.familiar(lives, i-1) != must || !lives[i-1].began.IsZero() && lives[i-1].ended.Sub(lives[i-1].began) < crowded {
			v = perhaps // it was not told before
		}
		if sleep, slept := b.asleep(lives[i-1].ended); slept && !l.began.Before(sleep.to) {
			v = perhaps // it was told that it is gone
		}
	}
	crashes := 0
	for _, before := range lives[:i] {
		if (watcher.Reason{Exit: before.run.exit}).Crashed() {
			crashes++
		}
	}
	if crashes >= crashCount {
		v = min(v, perhaps)
	}
	wants := b.stable(l.of, false, l.began, when.to)
	if wants == never && l.unknown.After(when.from) {
		wants = perhaps // it is not known what the person wants of it
	}
	if wants == never && b.contended(l.of, l.began.Add(-crowded), l.began) {
		wants = perhaps
	}
	return min(v, wants), when
}
