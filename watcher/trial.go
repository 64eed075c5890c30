package watcher

import (
	"context"
	"time"
)

// A Trial shows how this system can be scanned, from two scans in a row.
type Trial struct {
	Snapshot Snapshot      // of the second scan
	First    time.Duration // duration of the first scan, which has to find out everything
	Again    time.Duration // duration of the second scan right after it, like a Watcher's tick without changes
	// Detour is the reason why the scan does not use the quickest way on this system; nil if it does.
	Detour error
}

// Try scans twice in a row like a Watcher. If a scan fails, it returns the error and a Trial with the results before
// it. Try takes as long as two scans, and ends soon after ctx is done.
func Try(ctx context.Context) (Trial, error) {
	start := time.Now()
	src := newSource(false)
	defer src.close()
	return try(ctx, src, time.Since(start))
}

// try is Try with an open source; opening is how long it took to open.
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
