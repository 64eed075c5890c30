package watcher

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"porttray/watcher/port"
	"porttray/watcher/server"
)

const (
	defaultInterval = time.Second
	// soon is the pause after a scan with a change: the next scan confirms it.
	soon = 250 * time.Millisecond
	// After a time of quiet without changes the pause doubles, up to relaxed.
	quiet   = 30 * time.Second
	relaxed = 2 * time.Second
	// atLeast is the minimum pause between requested scans.
	atLeast = 20 * time.Millisecond
	// share limits scans to one hundredth of the time.
	share = 100
	// wakeWindow is how long after a sleep an update counts as caused by it.
	wakeWindow = 15 * time.Second
	// maxPostpone limits the wait for a server's owner, or for its other ports if it has only a debugger's port.
	maxPostpone = time.Minute
	// maxDelay is how long an update waits for the owners of its listeners and their facts.
	maxDelay = 500 * time.Millisecond
	// scanLimit is how long one scan may take. Half a second is slow; more than this means a machine in trouble.
	scanLimit = 10 * time.Second
)

var errSlow = fmt.Errorf("the list of listeners takes over %v to read", scanLimit)

// A Watcher scans repeatedly. Its zero value is ready to use.
type Watcher struct {
	// Interval is the pause between the end of one scan and the start of the next; 0 means one second. After a change
	// the next scan comes sooner. After 30 s without changes the pause doubles, up to 2 s. If scans are expensive, the
	// pause grows so that they take no more than a hundredth of the time.
	Interval time.Duration
	// Scan returns the current listeners, sorted, with those of its own process; nil means this system's scan. It must
	// stop soon after its context is done. It is never called again before it has returned.
	Scan func(context.Context) (Snapshot, error)
	// Everywhere makes this system's scan also list sockets that are not reachable over loopback.
	Everywhere bool
	// Wake makes the watcher scan at once when it receives a value; nil means no requests.
	Wake <-chan struct{}
	// Intervals delivers new values for Interval while the watcher runs; nil means no changes.
	Intervals <-chan time.Duration
	// Clock runs on while the computer sleeps, and is never set; nil means this system's clock.
	Clock func() time.Duration

	gone    func(server.Listener) bool // reports whether a listener's owner has ended; nil asks the system
	naming  naming                     // the system's naming if Scan and naming.facts are nil
	dynamic func(uint16) bool          // reports dynamic ports; nil reads this system's ranges or, with Scan, RFC 6335's
}

// Run watches until ctx is done. It delivers the first good snapshot at once. Then it delivers an update whenever
// something changed since the last delivered one. A slow reader loses no change, but gets several in one update. Run
// never closes updates. An update waits at most half a second for the facts about its listeners, or for the exits of
// their owners.
//
// Run does not trust a scan that fails, takes too long, or lacks all listeners of an address family that was there
// before. The last good state stays valid, and is delivered once more with Err set. Run continues, and never treats
// such a scan as closed listeners. A listener is closed when its owner is gone, or when two good scans in a row lack
// it.
func (w *Watcher) Run(ctx context.Context, updates chan<- Update) {
	src := source{scan: w.Scan, close: func() {}}
	if w.Scan == nil {
		src = newSource(w.Everywhere)
	}
	var (
		state    = state{gone: w.gone, naming: w.naming, dynamic: w.dynamic}
		pace     = pace{interval: cmp.Or(max(w.Interval, 0), defaultInterval), clock: w.Clock}
		scans    = make(chan []server.Listener) // the listeners before; each value starts a scan
		results  = make(chan result, 1)         // buffered, so that a scan can end after Run
		next     = time.NewTimer(0)             // for due
		limit    = time.NewTimer(scanLimit)
		scanning bool
		due      = time.Now() // the next scan
		asked    asker        // for another scan while one runs
		engines  = make(chan struct{}, 1)
		ranges   = make(chan func(uint16) bool, 1)
		wg       sync.WaitGroup
	)
	if w.Scan == nil && w.naming.facts == nil {
		state.naming = systemNaming()
	}
	switch {
	case state.dynamic != nil:
	case w.Scan != nil:
		state.dynamic = port.System{}.HandedOut
	default:
		go func() { ranges <- port.Read().HandedOut }() // this is slow on Windows
	}
	state.naming.start()
	if state.naming.watch != nil {
		wg.Go(func() { state.naming.watch(ctx, engines) })
	}
	if state.gone == nil {
		state.gone = func(l server.Listener) bool { return l.Owner.Gone() }
	}
	defer func() {
		next.Stop()
		limit.Stop()
		wg.Wait()
		if scanning {
			go func() { <-results; src.close() }()
		} else {
			src.close()
		}
	}()
	go func() { // one goroutine for all scans: a new one would have to grow its stack again
		for before := range scans {
			results <- believed(ctx, src.scan, before)
		}
	}()
	defer close(scans)
	ask := func(by asker) {
		if scanning {
			asked = max(asked, by)
		} else if sooner := time.Now().Add(pace.atOnce(by == byPerson)); sooner.Before(due) {
			due = sooner
			next.Reset(time.Until(due))
		}
	}
	for {
		var (
			update Update
			out    chan<- Update
			late   <-chan time.Time
			news   bool
		)
		if left := state.delay(); left > 0 {
			late = time.After(left)
		} else if state.changed {
			pace.spent(cpuOf(func() { update, news = state.update() }))
		} else {
			state.delayedSince = time.Time{}
		}
		if news {
			out = updates
		}
		select {
		case <-ctx.Done():
			return
		case out <- update:
			state.delivered(update)
		case <-w.Wake:
			ask(byPerson)
		case interval := <-w.Intervals:
			pace.interval = cmp.Or(max(interval, 0), defaultInterval)
			ask(byPerson) // the current pause belongs to the old interval
		case <-engines:
			state.naming.outdated = true
			ask(bySystem) // scan first, because most containers' ports have sockets
		case t := <-state.naming.results:
			pace.spent(t.cost)
			state.naming.learn(t)
			state.rename()
			state.naming.begin(ctx, state.now.Listeners) // for listeners that came meanwhile
		case a := <-state.naming.answers:
			state.naming.hear(a)
			state.rename()
			state.naming.begin(ctx, state.now.Listeners)
			if state.naming.premature(state.now.Listeners, state.scanned) {
				ask(bySystem)
			}
		case <-state.naming.retry:
			state.naming.tryAgain()
			state.naming.begin(ctx, state.now.Listeners)
		case state.dynamic = <-ranges:
		case <-late:
		case <-src.wake:
			ask(bySystem)
		case <-next.C:
			scanning = true
			limit.Reset(scanLimit)
			pace.expect(scanLimit)
			scans <- state.now.Listeners
		case <-limit.C:
			if scanning {
				state.failed(errSlow)
				pace.expect(0)
			}
		case r := <-results:
			scanning = false
			limit.Stop()
			pace.spent(r.cpu)
			cost := r.took
			if r.Searching || state.now.Searching {
				cost = 0 // a search happens once, and is not the usual cost of a scan
			}
			news := state.take(r)
			state.slowed(pace.scanned(cost, news || len(state.doubted) > 0))
			if news || state.naming.outdated {
				state.naming.begin(ctx, state.now.Listeners)
			}
			due = time.Now().Add(pace.pause)
			next.Reset(pace.pause)
			if pace.expect(pace.pause); pace.overslept() {
				state.woke = time.Now()
			}
			if state.now.Searching {
				asked = max(asked, bySystem)
			}
			if asked != unasked {
				ask(asked)
			}
			asked = unasked
		}
	}
}

// An asker says who requests a scan.
type asker int

const (
	unasked  asker = iota
	bySystem       // because of a signal from the system or an engine
	byPerson
)

// A result is the result of a scan, with its duration and its CPU time.
type result struct {
	Snapshot
	err       error
	took, cpu time.Duration
}

// believed scans within scanLimit. It verifies a result that may be a failure in the form of an empty list.
func believed(ctx context.Context, scan func(context.Context) (Snapshot, error), before []server.Listener) result {
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	var seen Snapshot
	var err error
	start := time.Now()
	cpu := cpuOf(func() {
		seen, err = scan(ctx)
		if err == nil {
			if lost := lostFamilies(before, seen.Listeners); len(lost) > 0 {
				seen, err = witnessed(ctx, scan, lost)
			}
		}
	})
	if ctx.Err() == context.DeadlineExceeded {
		err = errSlow
	}
	return result{seen, err, time.Since(start), cpu}
}

func cpuOf(do func()) time.Duration {
	runtime.LockOSThread() // threadTime measures this thread
	defer runtime.UnlockOSThread()
	start, cpu := time.Now(), threadTime()
	do()
	return min(time.Since(start), threadTime()-cpu)
}

// lostFamilies returns the address families, as networks for net.Listen, that have listeners only before.
func lostFamilies(before, now []server.Listener) []string {
	has := func(list []server.Listener, is func(netip.Addr) bool) bool {
		return slices.ContainsFunc(list, func(l server.Listener) bool { return slices.ContainsFunc(l.Addrs, is) })
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
