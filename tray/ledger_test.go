package tray

import (
	"slices"
	"time"

	"porttray/watcher"
)

// A ledger records the real history of each actor, as delivered to the loop, and the notices. It derives the due
// notices from the complete history, including later events.
type ledger struct {
	said   []told
	lives  map[*actor][]*life
	actors []*actor
	wants  []wanting
	slept  []span
}

// A life is the lifetime of one process of an actor.
type life struct {
	of           *actor
	run          *incarnation
	began, ended time.Time   // as the loop learned; zero if it ran from the start, or still runs
	widened      []time.Time // when other machines could first reach it
	born, wide   bool        // whether other machines could reach it at first, and now
	unknown      time.Time   // until then its owner was unknown
}

type span struct{ from, to time.Time }

func (s span) has(t time.Time) bool { return !t.Before(s.from) && t.Before(s.to) }

func (b *ledger) begin(actors []*actor, w taste) {
	b.actors, b.lives = actors, map[*actor][]*life{}
	b.wish(w)
}

func (b *ledger) wish(w taste) { b.wants = append(b.wants, wanting{time.Now(), w}) }

// look records the next update for the loop.
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

// A verdict says whether a notice is due.
type verdict int

const (
	never verdict = iota
	perhaps
	must
)

func (v verdict) String() string { return [...]string{"never", "perhaps", "must"}[v] }

// stable returns whether the person wants notices of an actor all that time: perhaps, if they changed their mind.
func (b *ledger) stable(a *actor, interrupted bool, from, to time.Time) verdict {
	var during []wanting
	for i, w := range b.wants {
		if !w.from.After(to) && (i+1 == len(b.wants) || !b.wants[i+1].from.Before(from)) {
			during = append(during, w)
		}
	}
	yes, no := false, false
	for _, then := range during { // the settings when it happened
		for _, now := range during { // the settings when the notice is due
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
	// tellWithin is the longest time from a decision to its notice.
	tellWithin = together + apart
	// crowded is how long two actors on one port affect each other's notices.
	crowded = 2*watcher.RestartGrace + tellWithin
)

// contended reports whether another actor had the port during that time.
func (b *ledger) contended(a *actor, from, to time.Time) bool {
	return slices.ContainsFunc(b.actors, func(o *actor) bool {
		return o != a && o.ports[0] == a.ports[0] && slices.ContainsFunc(b.lives[o], func(l *life) bool {
			return !l.began.After(to) && (l.ended.IsZero() || !l.ended.Before(from))
		})
	})
}

// stoppedBefore reports whether the person tried to stop the previous owner of l's port just before.
func (b *ledger) stoppedBefore(l *life) bool {
	return slices.ContainsFunc(b.actors, func(o *actor) bool {
		return o.ports[0] == l.of.ports[0] && slices.ContainsFunc(b.lives[o], func(before *life) bool {
			return before.run.clicked && !before.ended.IsZero() && !before.ended.After(l.began) &&
				l.began.Sub(later(before.ended, before.run.asked)) <= 5*time.Second
		})
	})
}

// asleep returns the sleep at time t, including the time to wake up.
func (b *ledger) asleep(t time.Time) (span, bool) {
	i := slices.IndexFunc(b.slept, func(s span) bool { return s.has(t) })
	if i < 0 {
		return span{}, false
	}
	return b.slept[i], true
}

// runs reports whether an actor runs at that time.
func (b *ledger) runs(a *actor, at time.Time) bool {
	return slices.ContainsFunc(b.lives[a], func(l *life) bool {
		return !l.began.After(at) && (l.ended.IsZero() || l.ended.After(at))
	})
}

// familiar returns whether the person knows an actor's i-th life. The life and the lives that it continues must have
// lasted long enough for a notice. The result is perhaps if another actor came in between.
func (b *ledger) familiar(lives []*life, i int) verdict {
	l := lives[i]
	switch {
	case l.began.IsZero(), l.ended.IsZero(), l.ended.Sub(l.began) > minLifetime:
		return must
	case b.stoppedBefore(l), l.ended.Sub(l.began) == minLifetime:
		return perhaps // the outcome named it, or it ended at the deadline
	case i == 0 || l.began.Sub(lives[i-1].ended) > watcher.RestartGrace:
		return never
	case b.contended(l.of, lives[i-1].ended, l.began):
		return perhaps
	}
	if lives[i-1].run.own || lives[i-1].run.maybe {
		return perhaps // the person knows it anyway
	}
	if sleep, slept := b.asleep(lives[i-1].ended); slept && !l.began.Before(sleep.to) {
		return min(perhaps, b.familiar(lives, i-1)) // its end was reported, so this is a new start
	}
	return b.familiar(lives, i-1)
}

// endOf returns whether the end of an actor's i-th life needs a notice, and when.
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
	if l.run.clicked { // the notice may wait for the outcome
		when.to = when.to.Add(actionPatience)
	}
	back := i+1 < len(lives) && lives[i+1].began.Sub(l.ended) <= watcher.RestartGrace
	crowd := b.contended(l.of, l.ended, l.ended.Add(watcher.RestartGrace))
	switch {
	case l.run.own && (l.run.open || l.of.kind == 'c') && !l.ended.Before(later(l.run.asked, l.run.hoped)):
		v = min(v, perhaps) // the end is noticed too late
	case l.run.own:
		return never, when
	case l.run.clicked && (back || crowd): // the outcome reports the return or the new owner
		v = min(v, perhaps)
	case l.of.kind == 'c' && slices.ContainsFunc(lives[:i], func(o *life) bool { return o.run.hoped.After(l.ended) }):
		v = min(v, perhaps) // a Stop is still under way
	case l.run.maybe, l.run.vague, l.unknown.After(l.ended), l.of.kind == 'u' && l.ended.Sub(l.unknown) < minLifetime:
		v = min(v, perhaps)
	case slept && b.runs(l.of, sleep.to):
		if slices.ContainsFunc(lives[i+1:], func(o *life) bool { return o.unknown.After(sleep.to) }) {
			return min(v, perhaps), when
		}
		return never, when
	case slept:
		// Several ends during one sleep count once.
		for j := i + 1; j < len(lives); j++ {
			if lives[j].run.clicked && sleep.has(lives[j].began) {
				v = min(v, perhaps) // the outcome reports the end
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
		v = min(v, perhaps) // its return may have become known too late
	case back && !crowd:
		return never, when
	case crowd && i+1 < len(lives) && lives[i+1].began.Sub(l.ended) <= 2*watcher.RestartGrace:
		v = min(v, perhaps) // another actor had the port briefly
	}
	if crowd && !slept {
		when = span{l.ended.Add(minLifetime), l.ended.Add(crowded)}
	}
	wants := b.stable(l.of, interrupted, l.ended, when.to)
	if crowd && wants == never {
		wants = perhaps // the person wants notices of the new owner
	}
	if l.unknown.After(l.ended) {
		wants = min(wants, perhaps)
	}
	if l.of.kind == 'e' && slept {
		wants = min(wants, perhaps) // after a sleep only the main list counts
	}
	return min(v, wants), when
}

// crashed returns the lives with a crash that completed a loop, and the ones with a crash left out after a loop.
// Without sure the result is unknown, for example because other actors had the port.
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

// startOf returns whether the start of an actor's i-th life needs a notice, and when.
func (b *ledger) startOf(lives []*life, i int) (verdict, span) {
	l := lives[i]
	when := span{l.began.Add(minLifetime), l.began.Add(minLifetime + tellWithin + time.Millisecond)}
	if wait := l.unknown.Sub(l.began); l.unknown != (time.Time{}) && wait > 0 { // the notice waits for the owner
		when.to = when.to.Add(wait)
	}
	stays := l.ended.IsZero() || l.ended.Sub(l.began) > minLifetime+tellWithin+time.Millisecond
	_, slept := b.asleep(l.began)
	if !slept { // it may be older, with an owner found only then
		_, slept = b.asleep(l.unknown)
	}
	v := must
	switch {
	case l.began.IsZero():
		return never, when
	case !l.ended.IsZero() && l.ended.Sub(l.began) < minLifetime:
		return never, when
	case slept, !stays, l.unknown.After(l.began.Add(minLifetime)), l.of.kind == 'u' && i > 0 &&
		l.began.Sub(lives[i-1].ended) <= watcher.RestartGrace:
		v = perhaps
	case b.stoppedBefore(l): // the outcome reports the new owner
		v = perhaps
	case i > 0 && b.contended(l.of, lives[i-1].ended, l.began) && l.began.Sub(lives[i-1].ended) <= crowded:
		v = perhaps
	case i > 0 && lives[i-1].run.maybe && (!lives[i-1].run.own || l.of.kind == 'c'):
		v = perhaps
	case i > 0 && !lives[i-1].run.own && l.began.Sub(lives[i-1].ended) <= watcher.RestartGrace:
		v = never
		if b.familiar(lives, i-1) != must || !lives[i-1].began.IsZero() &&
			lives[i-1].ended.Sub(lives[i-1].began) < crowded {
			v = perhaps // its earlier start had no notice
		}
		if sleep, slept := b.asleep(lives[i-1].ended); slept && !l.began.Before(sleep.to) {
			v = perhaps // its end was reported
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
		wants = perhaps // the settings for it are not known yet
	}
	if wants == never && b.contended(l.of, l.began.Add(-crowded), l.began) {
		wants = perhaps
	}
	return min(v, wants), when
}
