package watcher

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	defaultInterval = time.Second
	// confirmAfter is the pause before the second look that a missing listener gets.
	confirmAfter = 250 * time.Millisecond
	// scanLimit is how long one scan may take. Half a second is slow; this is a machine in trouble.
	scanLimit = 10 * time.Second
)

var errSlow = fmt.Errorf("the list of listeners takes over %v to read", scanLimit)

// A Watcher scans at a fixed interval. Its zero value is ready to use.
type Watcher struct {
	// Interval is the pause between the end of one scan and the start of the next; 0 means one second.
	Interval time.Duration
	// Scan reads what listens now; nil means this system's scan. It must stop soon after its context is done, and it is never
	// called again before it has returned. The listeners it returns are sorted, and its own process's are among them.
	Scan func(context.Context) (Snapshot, error)

	gone func(Listener) bool // whether a listener's owner is known to have ended; nil asks the system
}

// Run watches until ctx is done. It delivers the first good snapshot at once, and then an update whenever something changed
// since the update delivered last: a slow reader loses no change, it gets several in one. Run never closes updates.
//
// A scan that fails, takes too long, or comes without anything of an address family that was there before is not believed: the
// last good state stands, and is delivered once more with Err set. Run does not stop for it, and never takes it for closed
// listeners. A listener is closed when its owner is gone, or when two good scans in a row lack it.
func (w *Watcher) Run(ctx context.Context, updates chan<- Update) {
	var (
		state    = state{gone: w.gone}
		scan     = w.Scan
		results  = make(chan result, 1) // buffered, so that a scan can end after Run has
		next     = time.NewTimer(0)
		limit    = time.NewTimer(scanLimit)
		scanning bool
	)
	if state.gone == nil {
		state.gone = func(l Listener) bool { return l.Owner.Gone() }
	}
	if scan == nil {
		scan = newScanner().scan
	}
	defer next.Stop()
	defer limit.Stop()
	for {
		update, news := state.update()
		out := updates
		if !news {
			out = nil
		}
		select {
		case <-ctx.Done():
			return
		case out <- update:
			state.delivered(update)
		case <-next.C:
			scanning = true
			limit.Reset(scanLimit)
			before := state.now.Listeners
			go func() { results <- trusted(ctx, scan, before) }()
		case <-limit.C:
			if scanning {
				state.failed(errSlow)
			}
		case r := <-results:
			scanning = false
			limit.Stop()
			state.take(r)
			next.Reset(w.pause(state))
		}
	}
}

// pause returns how long to wait before the next scan.
func (w *Watcher) pause(s state) time.Duration {
	interval := w.Interval
	if interval <= 0 {
		interval = defaultInterval
	}
	if len(s.doubted) > 0 {
		return min(interval, confirmAfter)
	}
	return interval
}

// A result is what a scan returned.
type result struct {
	Snapshot
	err error
}

// trusted scans within scanLimit and, where the answer could be one of the failures that look like an empty list, makes sure
// that it is none.
func trusted(ctx context.Context, scan func(context.Context) (Snapshot, error), before []Listener) result {
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	seen, err := scan(ctx)
	if err == nil {
		if lost := lostFamilies(before, seen.Listeners); len(lost) > 0 {
			seen, err = witnessed(ctx, scan, lost)
		}
	}
	if ctx.Err() == context.DeadlineExceeded {
		err = errSlow
	}
	return result{seen, err}
}

// state is what Run remembers.
type state struct {
	gone    func(Listener) bool
	now     Snapshot // the last good state
	err     error    // why there is none newer
	doubted map[ID]doubt

	changed bool // since the last delivery, perhaps
	told    Update
	began   bool // a good snapshot has been delivered
}

// take makes a scan's result part of the state.
func (s *state) take(r result) {
	if r.err != nil {
		s.failed(r.err)
		return
	}
	if s.now.Time.IsZero() || s.err != nil {
		s.changed = true
	}
	before := s.now.Listeners
	s.err = nil
	s.now.Time = r.Time
	if len(s.doubted) == 0 && slices.EqualFunc(before, r.Listeners, Listener.Equal) {
		return
	}
	s.now.Listeners, s.doubted = confirm(before, s.doubted, r.Listeners, s.gone)
	s.changed = s.changed || !slices.EqualFunc(before, s.now.Listeners, Listener.Equal)
}

// failed notes that the state could not be read. What was doubted before is in doubt no longer: the two scans that agree must
// be neighbours.
func (s *state) failed(err error) {
	s.changed = s.changed || s.err == nil || s.err.Error() != err.Error()
	s.err = err
	s.doubted = nil
}

// update returns what there is to deliver, and whether there is anything.
func (s *state) update() (Update, bool) {
	if !s.changed {
		return Update{}, false
	}
	u := Update{Snapshot: s.now, Err: s.err}
	if s.began {
		u.Events = Diff(s.told.Snapshot, s.now)
	}
	same := len(u.Events) == 0 && (u.Err == nil) == (s.told.Err == nil) && (u.Err == nil || u.Err.Error() == s.told.Err.Error()) &&
		slices.EqualFunc(s.told.Snapshot.Listeners, s.now.Listeners, Listener.Equal)
	if same && s.began {
		s.changed = false
		return Update{}, false
	}
	return u, true
}

// delivered notes that the reader has u.
func (s *state) delivered(u Update) {
	s.told = u
	s.changed = false
	s.began = s.began || !u.Snapshot.Time.IsZero()
}

// lostFamilies returns the address families, as networks for net.Listen, that listeners had before and that no listener has now.
func lostFamilies(before, now []Listener) []string {
	has := func(list []Listener, is func(netip.Addr) bool) bool {
		return slices.ContainsFunc(list, func(l Listener) bool { return slices.ContainsFunc(l.Addrs, is) })
	}
	var lost []string
	if has(before, netip.Addr.Is4) && !has(now, netip.Addr.Is4) {
		lost = append(lost, "tcp4")
	}
	if has(before, netip.Addr.Is6) && !has(now, netip.Addr.Is6) {
		lost = append(lost, "tcp6")
	}
	return lost
}
