package watcher

import (
	"slices"
	"time"
)

// A pace decides how long to wait between two scans.
type pace struct {
	interval time.Duration
	pause    time.Duration // before the next scan
	ended    time.Time     // when the last scan did
	calm     time.Time     // since when nothing changed
	scans    int
	costs    [4]time.Duration // of the last scans
}

// scanned notes that a scan ended, what it took, and whether it brought anything that wants to be confirmed. It sets the pause,
// and returns it if it is one that expensive scans have stretched, in whole doublings so that it does not waver; otherwise 0.
func (p *pace) scanned(took time.Duration, news bool) (stretched time.Duration) {
	p.ended = time.Now()
	if news || p.calm.IsZero() {
		p.calm = p.ended
	}
	p.pause = p.interval
	switch {
	case news:
		p.pause = min(p.interval, soon)
	case p.ended.Sub(p.calm) >= quiet:
		p.pause = max(p.interval, min(2*p.interval, relaxed))
	}
	// One scan can be slow because it is the first or the machine is busy. The quickest of a few tells what scans cost here.
	p.costs[p.scans%len(p.costs)] = took
	if p.scans++; p.scans < len(p.costs) {
		return 0
	}
	least := (thrift - 1) * slices.Min(p.costs[:])
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

// overslept reports whether the scan that has just ended, after it took so long, came much later than it should: the computer
// slept, this program was stopped, or the clock was set forward. It is called before scanned.
func (p *pace) overslept(took time.Duration) bool {
	const late = 30 * time.Second
	// By the wall clock: where the computer sleeps, the monotonic one may stand still.
	return !p.ended.IsZero() && time.Now().Round(0).Sub(p.ended.Round(0)) > p.pause+took+late
}

// atOnce returns how long to wait before a scan that was asked for. It keeps a crowd of requests from becoming a crowd of
// scans, and does not spend more on them than on others where scans are expensive.
func (p *pace) atOnce() time.Duration {
	least := max(atLeast, 9*slices.Min(p.costs[:]))
	return max(0, least-time.Since(p.ended))
}
