package watcher

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"

	"porttray/watcher/owner"
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
	waking = 15 * time.Second
	// searchWait is how long a server is waited for while its owner is looked for.
	searchWait = 30 * time.Second
	// debuggerWait is how long a server is waited for after its debugger's port.
	debuggerWait = time.Minute
	// holdLimit is how long an update waits for the owners of its listeners and the facts about them, so that those need not
	// follow in another one.
	holdLimit = 500 * time.Millisecond
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
		if left := state.hold(); left > 0 {
			late = time.After(left)
		} else if state.changed {
			pace.spent(cpuOf(func() { update, news = state.update() }))
		} else {
			state.held = time.Time{}
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
		case t := <-state.naming.told:
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

// state is what Run remembers.
type state struct {
	gone    func(Listener) bool
	naming  naming
	dynamic func(uint16) bool // nil until it is known
	now     Snapshot          // the last good state, as it was scanned
	scanned time.Time         // when the last good scan began
	named   []Listener        // the listeners, with what is known about them
	err     error             // why there is none newer
	slow    time.Duration
	doubted map[ID]doubt

	changed bool // since the last delivery, perhaps
	told    Update
	base    Snapshot         // what was told, without the servers whose events are still to come
	unborn  map[ID]bool      // those servers
	since   map[ID]time.Time // when what was unborn at the last delivery, or is now, was seen first
	heads   map[ID]int       // the heads of its servers, as preferences
	formed  []Server         // of named; nil if they are to be formed
	began   bool             // a good snapshot has been delivered
	held    time.Time        // since when there is an update that waits; zero if none does
	woke    time.Time        // when somebody looked again after a while in which nobody did

	memory  recollection
	reasons map[ID]Reason // of the closings that are not delivered yet
}

// take makes a scan's result part of the state, and reports whether the listeners are others than before.
func (s *state) take(r result) (news bool) {
	if r.err != nil {
		s.failed(r.err)
		return false
	}
	if s.now.Time.IsZero() || s.err != nil {
		s.changed = true
	}
	before := s.now.Listeners
	early := s.naming.premature(before, s.scanned)
	s.err, s.scanned = nil, time.Now().Add(-r.took)
	s.now.Time, s.now.Source, s.now.Searching, s.now.Exits = r.Time, r.Source, r.Searching, r.Exits
	s.changed = s.memory.explain(s.better) || s.changed || len(s.unborn) > 0
	if len(s.doubted) == 0 && same(before, r.Listeners) {
		if early {
			s.rename()
		}
		return false
	}
	s.now.Listeners, s.doubted = confirm(before, s.doubted, r.Listeners, once(s.gone))
	news = !same(before, s.now.Listeners)
	if news || early {
		s.rename()
	}
	return news
}

// rename brings the names in line with what is known.
func (s *state) rename() {
	s.named, s.formed = withPasts(s.naming.name(s.now.Listeners, s.scanned), s.memory.pasts), nil
	s.changed = true
}

// same reports whether two lists say the same. Lists in the same memory do, without a look.
func same(a, b []Listener) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.EqualFunc(a, b, Listener.Equal))
}

// slowed notes the pause that expensive scans cost, or 0.
func (s *state) slowed(pause time.Duration) {
	s.changed = s.changed || s.slow != pause
	s.slow = pause
}

// failed notes that the state could not be read. What was doubted before is in doubt no longer: the two scans that agree must
// be neighbours.
func (s *state) failed(err error) {
	s.changed = s.changed || text(s.err) != text(err)
	s.err = err
	s.doubted, s.now.Searching = nil, false
}

// update returns what there is to deliver, and whether there is anything.
func (s *state) update() (Update, bool) {
	u := Update{Snapshot: s.now, Err: s.err, Slow: s.slow}
	u.Snapshot.Listeners, u.Snapshot.Servers = s.named, s.servers()
	if !s.began {
		return u, true
	}
	u.Slept = time.Since(s.woke) < waking
	u.Events = s.events(u.Snapshot)
	pasts, rest := pastsOf(u.Events, s.memory.pasts), restOf(u.Events, time.Now())
	if len(pasts)+len(rest) > 0 {
		u.Snapshot.Listeners = withPasts(s.named, pasts)
		u.Snapshot.Servers = s.form(u.Snapshot.Listeners)
		markRest(u.Snapshot.Servers, rest)
	}
	s.changed = len(u.Events) > 0 || u.Slow != s.told.Slow || text(u.Err) != text(s.told.Err) ||
		!same(s.told.Snapshot.Listeners, s.named)
	if !s.changed {
		s.held = time.Time{}
	}
	return u, s.changed
}

// servers returns the servers that the named listeners belong to.
func (s *state) servers() []Server {
	if s.formed == nil {
		s.formed = s.form(s.named)
	}
	return s.formed
}

func (s *state) form(listeners []Listener) []Server {
	servers := serversSince(listeners, s.dynamic, s.preferred(listeners))
	markRest(servers, s.memory.rest)
	return servers
}

// preferred returns how much listeners are preferred as the heads of their servers: most if they are on the head port of one that
// closed, then if they were heads before, and least if they are the rest of one that closed.
func (s *state) preferred(listeners []Listener) map[ID]int {
	if len(s.memory.closings)+len(s.memory.rest) == 0 {
		return s.heads
	}
	preferred := maps.Clone(s.heads)
	for id, since := range s.memory.rest {
		if time.Since(since) <= restWait {
			preferred[id] = -1
		}
	}
	for _, c := range s.memory.closings {
		for _, l := range onPort(listeners, c.Port) {
			if Same(c.Listener, l) {
				preferred[l.ID()] = 2
			}
		}
	}
	return preferred
}

// events returns what happened since the last delivery. The same servers closed as when it was called before, so why they did is
// looked at once only.
func (s *state) events(now Snapshot) []Event {
	events := s.born(Diff(s.base, now))
	reasons, gone := map[ID]Reason{}, once(s.gone)
	for i, e := range events {
		if e.Kind != Closed {
			continue
		}
		id := e.ID()
		reason, known := s.reasons[id]
		if _, exit := s.now.Exits[id.owner()]; !known || exit {
			reason = s.why(e.Listener, gone)
		}
		reason, _ = reason.ContainerEnded(e.Listener, s.naming.endings())
		events[i].Reason, reasons[id] = reason, reason
	}
	s.reasons = reasons
	related := s.behindDebuggers(relate(events, s.memory.closings, time.Now()))
	return append(s.memory.usual.moves(related, now), s.memory.late...)
}

// behindDebuggers returns the events without the openings of what has only a debugger's port yet: the server opens later. What
// waits there for long is a server by itself, and so is what other machines can reach.
func (s *state) behindDebuggers(events []Event) []Event {
	return slices.DeleteFunc(events, func(e Event) bool {
		only := e.Kind == Opened && !e.Exposed() && !slices.ContainsFunc(e.Parts, isNoInspector)
		return only && s.waits(e.ID(), debuggerWait)
	})
}

// waits notes that the opening of a server is to come later. It is false if it has waited for long enough.
func (s *state) waits(id ID, limit time.Duration) bool {
	since, known := s.since[id]
	if !known {
		since = time.Now()
		s.since[id] = since
	}
	s.unborn[id] = time.Since(since) < limit
	return s.unborn[id]
}

// born returns the events without the openings of servers about which too little is known to say what they are.
func (s *state) born(events []Event) []Event {
	if s.unborn = map[ID]bool{}; s.since == nil {
		s.since = map[ID]time.Time{}
	}
	return slices.DeleteFunc(events, func(e Event) bool {
		sought := !e.Owner.Known() && !e.Owner.Foreign && !e.Redirected // a socket is seen before its owner is
		unclear := sought || s.naming.pending(e.Listener) || s.naming.awaits(e.Listener)
		limit := RestartGrace
		if sought && s.now.Searching {
			limit = searchWait
		}
		return e.Kind == Opened && unclear && s.waits(e.ID(), limit)
	})
}

// once returns gone with each process looked at only once: it may have had thousands of listeners.
func once(gone func(Listener) bool) func(Listener) bool {
	known := map[owner.ID]bool{}
	return func(l Listener) bool {
		ended, ok := known[l.Owner.ID()]
		if !ok {
			ended = gone(l)
			known[l.Owner.ID()] = ended
		}
		return ended
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// hold returns how long an update must still wait because something about its listeners is being found out.
func (s *state) hold() time.Duration {
	if s.dynamic == nil {
		return scanLimit
	}
	if !s.changed || !s.naming.busy() && !(s.now.Searching && s.err == nil) && !s.naming.premature(s.now.Listeners, s.scanned) {
		return 0
	}
	if s.held.IsZero() {
		s.held = time.Now()
	}
	return holdLimit - time.Since(s.held)
}

// delivered notes that the reader has u.
func (s *state) delivered(u Update) {
	if s.began {
		s.memory.remember(u, time.Now())
	}
	s.told, s.named, s.formed = u, u.Snapshot.Listeners, nil
	s.told.Events = nil // the reader's alone, and perhaps thousands
	s.base, s.heads = s.baseOf(u.Snapshot), make(map[ID]int, len(u.Snapshot.Servers))
	for _, on := range s.base.Servers {
		if !on.Rest {
			s.heads[on.ID()] = 1
		}
	}
	maps.DeleteFunc(s.since, func(id ID, _ time.Time) bool { return !s.unborn[id] })
	s.changed = false
	s.held = time.Time{}
	s.began = s.began || !u.Snapshot.Time.IsZero()
}

// baseOf returns the snapshot to compare the next one with.
func (s *state) baseOf(now Snapshot) Snapshot {
	if len(s.unborn) == 0 {
		return now
	}
	parts := map[ID]bool{}
	now.Servers = slices.DeleteFunc(slices.Clone(now.Servers), func(on Server) bool {
		unborn := s.unborn[on.ID()]
		for _, l := range on.Parts {
			parts[l.ID()] = parts[l.ID()] || unborn
		}
		return unborn
	})
	now.Listeners = slices.DeleteFunc(slices.Clone(now.Listeners), func(l Listener) bool { return parts[l.ID()] })
	return now
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
