package watcher

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// A naming finds out whose servers the listeners are, away from the ticks: each process is asked about once, and the container
// engines once for every listener that may be a container's. Its state belongs to the goroutine of Run.
type naming struct {
	facts      func(context.Context, owner.Process) (owner.Facts, bool) // nil if nothing is to be found out
	containers func(ctx context.Context, wake bool) engine.List
	watch      func(context.Context, chan<- struct{}) // tells when the engines have something new to tell, until its context is done
	ended      func(ctx context.Context, c engine.Container, after time.Time) (engine.End, bool)

	results      chan factResult // has room for the only one under way
	answers      chan answer     // has room for one of each kind
	readingFacts bool            // told is awaited
	asking       bool            // an answer is awaited that has a list
	askingEnds   bool            // an answer is awaited that has ends

	known   map[owner.Process]owner.Facts
	unclear map[owner.Process]bool // those that took too long; asked about again at retry
	ports   map[owner.Process]int  // how many listeners they had when they were asked about

	asked    map[ID]bool           // the listeners for which the engines were asked; nil if they never were
	answered engine.List           // what they said
	at       time.Time             // when
	by       map[publication]means // what of it has been seen, and by what means
	outdated bool                  // they have something new to tell
	failing  bool                  // some of them did not answer, and may later

	waiting   map[ID]expected               // the listeners whose container is not known
	listening map[string]listeningContainer // the containers that have listeners, by ID
	toAsk     []listeningContainer          // those that have none any more, and about whose end nobody was asked yet
	ends      ends

	retry <-chan time.Time // when what failed is to be tried again; nil if nothing did
	pause time.Duration    // before that
}

// What failed is tried again after this pause, which doubles up to the longest.
const (
	retrySoon  = 2 * time.Second
	retryLater = time.Minute
)

// told is what was found out about some processes; for some of them it took too long.
type factResult struct {
	facts   map[owner.Process]owner.Facts
	unclear []owner.Process
	cost    time.Duration // of CPU time, about
}

// tellCost is the CPU time that it takes to find out the facts about a process, at most: mostly it is a tenth of that.
const factsCost = 3 * time.Millisecond

// An answer is what the engines said, and for which listeners they were asked. Or it is how containers ended.
type answer struct {
	list  engine.List
	asked map[ID]bool
	at    time.Time
	ends  map[string]engine.End // by the containers' IDs; nil in an answer with a list
}

// systemNaming returns the naming that asks this system.
func systemNaming() naming {
	var engines engine.Engines
	return naming{facts: owner.Tell, containers: engines.List, watch: engines.Watch, ended: engines.Ended}
}

// start makes the naming ready for use.
func (n *naming) start() {
	n.results, n.answers = make(chan factResult, 1), make(chan answer, 2)
	n.waiting, n.listening = map[ID]expected{}, map[string]listeningContainer{}
	n.known, n.unclear, n.by = map[owner.Process]owner.Facts{}, map[owner.Process]bool{}, map[publication]means{}
	n.ports = map[owner.Process]int{}
}

// busy reports whether something is being found out.
func (n *naming) busy() bool { return n.readingFacts || n.asking || n.askingEnds }

// begin starts to find out what is not known yet about the listeners, as far as that is not under way.
func (n *naming) begin(ctx context.Context, listeners []Listener) {
	if n.facts == nil {
		return
	}
	if unknown := n.unknown(listeners); !n.readingFacts && len(unknown) > 0 {
		n.readingFacts = true
		ports := portsOf(listeners)
		for _, p := range unknown {
			n.ports[p] = ports[p]
		}
		go func() { n.results <- readFacts(ctx, n.facts, unknown) }()
	}
	if asked, news := n.forwarded(listeners); !n.asking && news {
		n.asking, n.outdated = true, false
		wake := slices.ContainsFunc(listeners, func(l Listener) bool { return l.Owner.Forwards() || n.known[l.Owner].Container != "" })
		go func() { n.answers <- answer{list: n.containers(ctx, wake), asked: asked, at: time.Now()} }()
	}
	n.askEnds(ctx)
	n.scheduleAsk()
}

// tellAll finds out the facts about processes.
func readFacts(ctx context.Context, facts func(context.Context, owner.Process) (owner.Facts, bool), about []owner.Process) factResult {
	start := time.Now()
	t := factResult{facts: make(map[owner.Process]owner.Facts, len(about))}
	for _, p := range about {
		if f, ok := facts(ctx, p); ok {
			t.facts[p] = f
		} else {
			t.unclear = append(t.unclear, p)
		}
	}
	t.cost = min(time.Since(start), time.Duration(len(about))*factsCost)
	return t
}

// portsOf counts the listeners of each owner.
func portsOf(listeners []Listener) map[owner.Process]int {
	ports := map[owner.Process]int{}
	for _, l := range listeners {
		ports[l.Owner]++
	}
	return ports
}

// unknown returns the owners of which the facts are not known, or no longer: what a process manager runs changes.
func (n *naming) unknown(listeners []Listener) []owner.Process {
	var unknown []owner.Process
	var ports map[owner.Process]int
	seen := map[owner.Process]bool{}
	for _, l := range listeners {
		p := l.Owner
		f, known := n.known[p]
		if known && f.Holder {
			if ports == nil {
				ports = portsOf(listeners)
			}
			known = ports[p] == n.ports[p]
		}
		if !known && p.Known() && !seen[p] && !n.unclear[p] {
			seen[p] = true
			unknown = append(unknown, p)
		}
	}
	return unknown
}

// pending reports whether something about a listener is still to be found out, by which its server is told from others.
func (n *naming) pending(l Listener) bool {
	_, known := n.known[l.Owner]
	return n.facts != nil && l.Owner.Known() && !known && !n.unclear[l.Owner]
}

// forwarded returns the listeners that may be a container's, for which the engines are to be asked, and whether there is a reason to
// ask now.
func (n *naming) forwarded(listeners []Listener) (forwarded map[ID]bool, news bool) {
	forwarded = map[ID]bool{}
	for _, l := range listeners {
		if forwardable(l) || n.known[l.Owner].Container != "" {
			forwarded[l.ID()] = true
		}
	}
	return forwarded, n.outdated || !maps.Equal(forwarded, n.asked)
}

// forwardable reports whether a listener may be one that a container publishes.
func forwardable(l Listener) bool { return !l.Owner.Known() || l.Owner.Forwards() }

// learn takes in what was told about owners.
func (n *naming) learn(t factResult) {
	n.readingFacts = false
	maps.Copy(n.known, t.facts)
	for _, p := range t.unclear {
		n.unclear[p] = true
	}
	n.scheduleRetry()
}

// hear takes in an answer of the engines.
func (n *naming) hear(a answer) {
	if a.ends != nil {
		n.askingEnds = false
		n.ends.add(a.ends, time.Now())
		return
	}
	n.asking = false
	a.list.Failed = append(a.list.Failed, n.vanished(a.list)...)
	a.list.Published = append(a.list.Published, n.kept(a)...)
	for _, c := range n.answered.Others {
		if failed(a.list, c.Endpoint) != nil {
			a.list.Others = append(a.list.Others, c)
		}
	}
	n.asked, n.answered, n.at = a.asked, a.list, a.at
	maps.DeleteFunc(n.by, func(h publication, _ means) bool {
		return !slices.ContainsFunc(a.list.Published, func(p engine.Published) bool { return h == publication{p.Container.ID, p.Port} })
	})
	n.failing = slices.ContainsFunc(a.list.Failed, func(f engine.Failure) bool { return passes(f.Err) })
	n.scheduleRetry()
}

// vanished returns the engines that had containers when they were asked last, and of which nothing is heard any more: one that
// ends in good order takes its socket away.
func (n *naming) vanished(now engine.List) (lost []engine.Failure) {
	heard := slices.Concat(now.Answered, now.Spared)
	for _, f := range now.Failed {
		heard = append(heard, f.Endpoint)
	}
	before := slices.Clone(n.answered.Others)
	for _, p := range n.answered.Published {
		before = append(before, p.Container)
	}
	for _, c := range before {
		if !slices.Contains(heard, c.Endpoint) {
			heard = append(heard, c.Endpoint)
			lost = append(lost, engine.Failure{Endpoint: c.Endpoint, Err: engine.ErrNotRunning})
		}
	}
	return lost
}

// failed returns why an engine did not answer, or nil.
func failed(l engine.List, endpoint string) error {
	for _, f := range l.Failed {
		if f.Endpoint == endpoint {
			return f.Err
		}
	}
	return nil
}

// passes reports whether an engine that failed so may answer when it is asked again.
func passes(err error) bool {
	return !errors.Is(err, engine.ErrNotRunning) && !errors.Is(err, fs.ErrPermission)
}

// again sees to it that what failed is tried again.
func (n *naming) scheduleRetry() {
	switch {
	case !n.failing && len(n.unclear) == 0:
		n.retry, n.pause = nil, 0
	case n.retry == nil:
		n.pause = min(max(2*n.pause, retrySoon), retryLater)
		n.retry = time.After(n.pause)
	}
}

// tryAgain forgets what failed, so that begin looks for it.
func (n *naming) tryAgain() {
	n.retry, n.outdated = nil, n.asked != nil
	clear(n.unclear)
}

// kept returns what is still believed of the engines that answered before and do not now: a container does not end because its
// engine cannot be asked. But what listens on a port for the first time need not be what it was, and where the engine has ended
// only a socket is a sign of a container that goes on.
func (n *naming) kept(a answer) []engine.Published {
	fresh := map[uint16]bool{}
	for id := range a.asked {
		fresh[id.Port] = fresh[id.Port] || !n.asked[id]
	}
	return slices.DeleteFunc(slices.Clone(n.answered.Published), func(p engine.Published) bool {
		if slices.ContainsFunc(a.list.Published, func(q engine.Published) bool { return q.Port == p.Port && q.Container.ID == p.Container.ID }) {
			return true // its engine has another socket, too
		}
		err := failed(a.list, p.Container.Endpoint)
		ended := errors.Is(err, engine.ErrNotRunning) && n.by[publication{p.Container.ID, p.Port}] != bySocket
		return err == nil || fresh[p.Port] || ended
	})
}

// name returns the listeners, of a scan that began at that time, with all that is known about them.
func (n *naming) name(listeners []Listener, began time.Time) []Listener {
	if n.facts == nil {
		return listeners
	}
	named := slices.Clone(listeners)
	for i := range named {
		if f, ok := n.known[named[i].Owner]; ok {
			named[i].Facts = f
		}
	}
	// A process that closes its port and opens it again is still the same one, so its facts are not forgotten at once.
	if len(n.known) > 2*len(named)+64 {
		current := map[owner.Process]bool{}
		for _, l := range named {
			current[l.Owner] = true
		}
		maps.DeleteFunc(n.known, func(p owner.Process, _ owner.Facts) bool { return !current[p] })
		maps.DeleteFunc(n.ports, func(p owner.Process, _ int) bool { return !current[p] })
	}
	if n.asked != nil {
		named = n.withContainers(named, began)
	}
	n.note(named, began)
	return named
}
