package watcher

import (
	"slices"
	"time"
)

// cpuBudget is the CPU time that may be spent at once, beyond a hundredth of the time. It pays for the search for
// owners and their facts. It is enough to look through a hundred thousand files several times.
const cpuBudget = time.Second

// maxThrottle is the longest pause after spending more than the budget.
const maxThrottle = 16 * time.Second

// A pace decides how long to wait between two scans.
type pace struct {
	interval   time.Duration
	pause      time.Duration // before the next scan
	ended      time.Time     // end of the last scan
	quietSince time.Time     // last change
	scans      int
	costs      [4]time.Duration // of the last scans

	// A system that changes all the time costs a search each time, even if a scan without changes is cheap.
	debt     time.Duration // CPU time spent minus time earned; -cpuBudget is a full budget, and above 0 it is overspent
	debtAt   time.Time     // when debt was computed
	throttle time.Duration // pause because of debt, until part of the budget is back; 0 for none

	clock func() time.Duration // goes on while the computer sleeps; nil means sinceBoot
	due   time.Duration        // when the next thing is due, by clock; 0 if unknown
	slept bool                 // something happened much later than due since overslept was called
}

// scanned notes the end of a scan, its duration, and whether it found a change to confirm. It sets the pause. It
// returns the pause if expensive scans have stretched it, by whole doublings to stay steady; otherwise 0.
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
	// One scan can be slow because it is the first or the machine is busy. The fastest of a few shows the usual cost.
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

// spent notes CPU time that was spent, beside or in a scan. The first scan is free, because it looks at everything.
func (p *pace) spent(cpu time.Duration) {
	if p.scans == 0 {
		return
	}
	p.debt = min(p.currentDebt()+cpu, maxThrottle/share)
	p.debtAt = time.Now()
}

func (p *pace) currentDebt() time.Duration {
	if p.debtAt.IsZero() {
		return -cpuBudget
	}
	return max(p.debt-time.Since(p.debtAt)/share, -cpuBudget)
}

// throttlePause returns the pause that pays off the debt. A pause longer than usual stays until an eighth of the budget
// is back, because constant changes are not even.
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

// expect notes that the expected thing has happened, and in what time the next one is due: a scan begins, ends, or
// takes too long. A d of 0 means unknown.
func (p *pace) expect(d time.Duration) {
	const late = 30 * time.Second
	now := p.now()
	p.slept = p.slept || p.due != 0 && now-p.due > late
	if p.due = 0; d != 0 {
		p.due = now + d
	}
}

// overslept reports whether something happened much later than expected since the last call. Then the computer slept,
// or this program was stopped. If there is a clock that nobody sets, a change of the time of day is no sleep.
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

// atOnce returns how long to wait before a requested scan. Many requests at once must not become many scans. If scans
// are expensive, requested ones cost no more than regular ones. With the budget overspent, only a person gets more than
// the regular scans.
func (p *pace) atOnce(person bool) time.Duration {
	least := max(atLeast, 9*slices.Min(p.costs[:]))
	if !person && p.currentDebt() > 0 {
		least = max(least, p.pause)
	}
	return max(0, least-time.Since(p.ended))
}
