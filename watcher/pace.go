package watcher

import (
	"slices"
	"time"
)

// savings is the CPU time that may be spent at once, beyond a hundredth of the time: on finding out who owns new listeners, and
// whose servers those are. It is enough to look through a hundred thousand files some times.
const cpuBudget = time.Second

// broke is the longest pause that spending more than that comes to.
const maxThrottle = 16 * time.Second

// A pace decides how long to wait between two scans.
type pace struct {
	interval   time.Duration
	pause      time.Duration // before the next scan
	ended      time.Time     // when the last scan did
	quietSince time.Time     // since when nothing changed
	scans      int
	costs      [4]time.Duration // of the last scans

	// What changes all the time costs a search each time, however cheap a scan is when nothing has changed.
	debt     time.Duration // the CPU time that was spent beyond what has been saved up, and beyond savings if above 0
	debtAt   time.Time     // when debt was reckoned
	throttle time.Duration // the pause that it came to, until something has been saved up again; 0 for none

	clock func() time.Duration // goes on while the computer sleeps; nil means sinceBoot
	due   time.Duration        // by clock: when something is to happen; 0 if nobody knows
	slept bool                 // it happened much later, since overslept was called
}

// scanned notes that a scan ended, what it took, and whether it brought anything that wants to be confirmed. It sets the pause,
// and returns it if it is one that expensive scans have stretched, in whole doublings so that it does not waver; otherwise 0.
func (p *pace) scanned(took time.Duration, news bool) (stretched time.Duration) {
	p.ended = time.Now()
	if news || p.quietSince.IsZero() {
		p.quietSince = p.ended
	}
	p.pause = p.interval
	switch {
	case news:
		p.pause = min(p.interval, soon)
	case p.ended.Sub(p.quietSince) >= quiet:
		p.pause = max(p.interval, min(2*p.interval, relaxed))
	}
	// One scan can be slow because it is the first or the machine is busy. The quickest of a few tells what scans cost here.
	p.costs[p.scans%len(p.costs)] = took
	least := p.throttlePause()
	if p.scans++; p.scans >= len(p.costs) {
		least = max(least, (share-1)*slices.Min(p.costs[:]))
	}
	if least <= max(p.interval, relaxed) {
		p.pause = max(p.pause, least)
		return 0
	}
	for stretched = relaxed; stretched < least; {
		stretched *= 2
	}
	p.pause = stretched
	return stretched
}

// spent notes that so much CPU time was spent, beside or in a scan. The first scan is free: it looks at everything.
func (p *pace) spent(cpu time.Duration) {
	if p.scans == 0 {
		return
	}
	p.debt = min(p.currentDebt()+cpu, maxThrottle/share)
	p.debtAt = time.Now()
}

// owing returns the debt as it is now.
func (p *pace) currentDebt() time.Duration {
	if p.debtAt.IsZero() {
		return -cpuBudget
	}
	return max(p.debt-time.Since(p.debtAt)/share, -cpuBudget)
}

// save returns the pause after which nothing is owed any more. Once that is longer than usual it stays as it is until a part of
// the savings is back: what changes all the time does not change evenly.
func (p *pace) throttlePause() time.Duration {
	debt := p.currentDebt()
	if debt <= -cpuBudget/8 {
		p.throttle = 0
	}
	need := max(0, debt) * share
	for need > max(p.interval, relaxed, p.throttle) {
		p.throttle = max(relaxed, p.throttle) * 2
	}
	return max(need, p.throttle)
}

// expect notes that what was expected has happened, and when the next thing is to happen at the latest: a scan begins, ends, or takes
// too long. For that d is 0 if nobody knows when.
func (p *pace) expect(d time.Duration) {
	const late = 30 * time.Second
	now := p.now()
	p.slept = p.slept || p.due != 0 && now-p.due > late
	if p.due = 0; d != 0 {
		p.due = now + d
	}
}

// overslept reports whether something happened much later than expected since overslept was called last: the computer slept, or this
// program was stopped. Where there is a clock that nobody sets, setting the time of day is no sleep.
func (p *pace) overslept() bool {
	slept := p.slept
	p.slept = false
	return slept
}

func (p *pace) now() time.Duration {
	if p.clock != nil {
		return p.clock()
	}
	return sinceBoot()
}

// atOnce returns how long to wait before a scan that was asked for. It keeps a crowd of requests from becoming a crowd of
// scans, and does not spend more on them than on others where scans are expensive. Where too much has been spent, only a person
// gets more than the usual scans.
func (p *pace) atOnce(person bool) time.Duration {
	least := max(atLeast, 9*slices.Min(p.costs[:]))
	if !person && p.currentDebt() > 0 {
		least = max(least, p.pause)
	}
	return max(0, least-time.Since(p.ended))
}
