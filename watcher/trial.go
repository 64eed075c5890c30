package watcher

import (
	"context"
	"time"
)

// A Trial is what two scans in a row show of how this system can be scanned.
type Trial struct {
	Snapshot Snapshot      // of the second scan
	First    time.Duration // what the first one took, for which everything is to be found out
	Again    time.Duration // what the second one took right after it: what a Watcher's tick costs while nothing changes
	// Detour is why listeners are not listed in the quickest way that there is for this system; nil if they are.
	Detour error
}

// Try scans twice in a row in the way in which a Watcher does. The error is that of the scan which failed; what was found out
// before is in the Trial all the same. Try takes as long as two scans, and ends soon after ctx is done.
func Try(ctx context.Context) (Trial, error) {
	start := time.Now()
	src := newSource(false)
	defer src.close()
	return try(ctx, src, time.Since(start))
}

// try is Try with a source that took so long to open.
func try(ctx context.Context, src source, opening time.Duration) (Trial, error) {
	t := Trial{Detour: src.detour}
	first := believed(ctx, src.scan, nil)
	t.First = opening + first.took
	if first.err != nil {
		return t, first.err
	}
	again := believed(ctx, src.scan, first.Listeners)
	t.Snapshot, t.Again = again.Snapshot, again.took
	return t, again.err
}
