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
)

const (
	defaultInterval = time.Second
	// soon is the pause after a scan that brought something new: the next one confirms it.
	soon = 250 * time.Millisecond
	// After quiet, the pause doubles, up to relaxed.
	quiet   = 30 * time.Second
	relaxed = 2 * time.Second
	// atLeast is the pause between scans that are asked for.
	atLeast = 20 * time.Millisecond
	// share is the part of the time that scans may take: one hundredth.
	share = 100
	// waking is how long after a sleep what changes belongs to it.
	wakeWindow = 15 * time.Second
	// lateBirth is how long the opening of a server waits while its owner is looked for, and of one that has only a debugger's port.
	maxPostpone = time.Minute
	// holdLimit is how long an update waits for the owners of its listeners and the facts about them, so that those need not
	// follow in another one.
	maxDelay = 500 * time.Millisecond
	// scanLimit is how long one scan may take. Half a second is slow; this is a machine in trouble.
	scanLimit = 10 * time.Second
)

var errSlow = fmt.Errorf("the list of listeners takes over %v to read", scanLimit)

// A Watcher scans again and again. Its zero value is ready to use.
type Watcher struct {
	// Interval is the pause between the end of one scan and the start of the next; 0 means one second. After a change the next
	// scan comes sooner, after half a minute without any the pause doubles, up to 2 s, and where scans are expensive it is
	// stretched so that they take no more than a hundredth of the time.
	Interval time.Duration
	// Scan reads what listens now; nil means this system's scan. It must stop soon after its context is done, and it is never
	// called again before it has returned. The listeners it returns are sorted, and its own process's are among them.
	Scan func(context.Context) (Snapshot, error)
	// Everywhere makes this system's scan list as well what is not reachable over loopback.
	Everywhere bool
	// Wake makes the watcher scan at once when it receives a value; nil means that nobody asks.
	Wake <-chan struct{}
	// Intervals brings other values for Interval while the watcher runs; nil means that it stays as it is.
	Intervals <-chan time.Duration
	// Clock goes on while the computer sleeps, and is never set; nil means this system's.
	Clock func() time.Duration

	gone    func(Listener) bool // whether a listener's owner is known to have ended; nil asks the system
	naming  naming              // without a function for facts, and with no Scan, that of the system
	dynamic func(uint16) bool   // whether the system picks a port for programs; nil, and with no Scan, asks the system
}

// Run watches until ctx is done. It delivers the first good snapshot at once, and then an update whenever something changed
// since the update delivered last: a slow reader loses no change, it gets several in one. Run never closes updates. An update
// waits for half a second at most while it is found out whose servers its listeners are, or how their owners ended.
//
// A scan that fails, takes too long, or comes without anything of an address family that was there before is not believed: the
// last good state stands, and is delivered once more with Err set. Run does not stop for it, and never takes it for closed
// listeners. A listener is closed when its owner is gone, or when two good scans in a row lack it.
func (w *Watcher) Run(ctx context.Context, updates chan<- Update) {
	src := source{scan: w.Scan, close: func() {}}
	if w.Scan == nil {
		src = newSource(w.Everywhere)
	}
	var (
		state    = state{gone: w.gone, naming: w.naming, dynamic: w.dynamic}
		pace     = pace{interval: cmp.Or(max(w.Interval, 0), defaultInterval), clock: w.Clock}
		scans    = make(chan []Listener) // each begins a scan, and is what was there before
		results  = make(chan result, 1)  // buffered, so that a scan can end after Run has
		next     = time.NewTimer(0)      // for due
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
		go func() { ranges <- port.Read().HandedOut }() // on Windows that takes a while
	}
	state.naming.start()
	if state.naming.watch != nil {
		wg.Go(func() { state.naming.watch(ctx, engines) })
	}
	if state.gone == nil {
		state.gone = func(l Listener) bool { return l.Owner.Gone() }
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
	go func() { // one goroutine for all scans: in a new one the stack would have to grow again
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
			ask(byPerson) // the pause under way is of the old one
		case <-engines:
			state.naming.outdated = true
			ask(bySystem) // first, because most containers' ports have sockets
		case t := <-state.naming.results:
			pace.spent(t.cost)
			state.naming.learn(t)
			state.rename()
			state.naming.begin(ctx, state.now.Listeners) // about those that came meanwhile
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
				cost = 0 // a search is paid for once, and says nothing of what scans cost here
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

// An asker is who wants a scan at once.
type asker int

const (
	unasked  asker = iota
	bySystem       // because of something that it told
	byPerson
)

// A result is what a scan returned, how long it took, and how much CPU time that was.
type result struct {
	Snapshot
	err       error
	took, cpu time.Duration
}

// believed scans within scanLimit and, where the answer could be one of the failures that look like an empty list, makes sure
// that it is none.
func believed(ctx context.Context, scan func(context.Context) (Snapshot, error), before []Listener) result {
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

// cpuOf returns how much CPU time a function took.
func cpuOf(do func()) time.Duration {
	runtime.LockOSThread() // whose CPU time it is
	defer runtime.UnlockOSThread()
	start, cpu := time.Now(), threadTime()
	do()
	return min(time.Since(start), threadTime()-cpu)
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
