package watcher

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// A naming finds out whose servers the listeners are, outside the ticks. It asks about each process once, and it asks
// the container engines once for every listener that may be a container's. Its state belongs to the goroutine of Run.
type naming struct {
	facts      func(context.Context, owner.Process) (facts.Facts, bool) // nil disables the naming
	containers func(ctx context.Context, wake bool) engine.List
	watch      func(context.Context, chan<- struct{}) // signals news from the engines until its context is done
	ended      func(ctx context.Context, c engine.Container, after time.Time) (engine.End, bool)

	results      chan factResult // buffer for the only pending one
	answers      chan answer     // buffer for one of each kind
	readingFacts bool            // a factResult is pending
	asking       bool            // an answer with a list is pending
	askingEnds   bool            // an answer with ends is pending

	known   map[owner.Process]facts.Facts
	unclear map[owner.Process]bool // processes that took too long; retry asks about them again
	ports   map[owner.Process]int  // how many listeners they had when their facts were read

	asked    map[server.ID]bool    // the listeners for which the engines were asked; nil if never
	answered engine.List           // the engines' latest answer
	at       time.Time             // when answered arrived
	by       map[publication]means // how each published port was seen to be reachable
	outdated bool                  // the engines have news
	failing  bool                  // some engines did not answer, but may later

	waiting   map[server.ID]expected        // listeners that may belong to an unknown container
	listening map[string]listeningContainer // by container ID
	toAsk     []listeningContainer          // containers without listeners; their engine is not asked yet
	ends      ends

	retry <-chan time.Time // when to retry failures; nil if there are none
	pause time.Duration    // before retry
}

// The pause before a retry doubles from retrySoon to retryLater.
const (
	retrySoon  = 2 * time.Second
	retryLater = time.Minute
)

// A factResult holds the facts about some processes.
type factResult struct {
	facts   map[owner.Process]facts.Facts
	unclear []owner.Process // processes that took too long
	cost    time.Duration   // CPU time, estimated
}

// factsCost is the maximum CPU time for the facts about one process. A tenth is usual.
const factsCost = 3 * time.Millisecond

// An answer is the engines' list, with the listeners for which they were asked. Or it says how containers ended.
type answer struct {
	list  engine.List
	asked map[server.ID]bool
	at    time.Time
	ends  map[string]engine.End // by the containers' IDs; nil in an answer with a list
}

// systemNaming returns the naming that asks this system.
func systemNaming() naming {
	var engines engine.Engines
	return naming{facts: facts.Tell, containers: engines.List, watch: engines.Watch, ended: engines.Ended}
}

func (n *naming) start() {
	n.results, n.answers = make(chan factResult, 1), make(chan answer, 2)
	n.waiting, n.listening = map[server.ID]expected{}, map[string]listeningContainer{}
	n.known, n.unclear, n.by = map[owner.Process]facts.Facts{}, map[owner.Process]bool{}, map[publication]means{}
	n.ports = map[owner.Process]int{}
}

func (n *naming) busy() bool { return n.readingFacts || n.asking || n.askingEnds }

// begin starts to find out the missing facts about the listeners, unless that is already under way.
func (n *naming) begin(ctx context.Context, listeners []server.Listener) {
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
		wake := slices.ContainsFunc(listeners, func(l server.Listener) bool {
			return l.Owner.Forwards() || n.known[l.Owner].Container != ""
		})
		go func() { n.answers <- answer{list: n.containers(ctx, wake), asked: asked, at: time.Now()} }()
	}
	n.askEnds(ctx)
	n.scheduleAsk()
}

func readFacts(ctx context.Context, read func(context.Context, owner.Process) (facts.Facts, bool),
	about []owner.Process) factResult {
	start := time.Now()
	t := factResult{facts: make(map[owner.Process]facts.Facts, len(about))}
	for _, p := range about {
		if f, ok := read(ctx, p); ok {
			t.facts[p] = f
		} else {
			t.unclear = append(t.unclear, p)
		}
	}
	t.cost = min(time.Since(start), time.Duration(len(about))*factsCost)
	return t
}

func portsOf(listeners []server.Listener) map[owner.Process]int {
	ports := map[owner.Process]int{}
	for _, l := range listeners {
		ports[l.Owner]++
	}
	return ports
}

// unknown returns the owners without valid facts. The programs under a process manager change, so the facts about a
// Holder expire with its number of listeners.
func (n *naming) unknown(listeners []server.Listener) []owner.Process {
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

// pending reports whether a fact that tells the listener's server from others is still missing.
func (n *naming) pending(l server.Listener) bool {
	_, known := n.known[l.Owner]
	return n.facts != nil && l.Owner.Known() && !known && !n.unclear[l.Owner]
}

// forwarded returns the listeners that may be a container's, and whether to ask the engines about them now.
func (n *naming) forwarded(listeners []server.Listener) (forwarded map[server.ID]bool, news bool) {
	forwarded = map[server.ID]bool{}
	for _, l := range listeners {
		if l.Forwardable() || n.known[l.Owner].Container != "" {
			forwarded[l.ID()] = true
		}
	}
	return forwarded, n.outdated || !maps.Equal(forwarded, n.asked)
}

func (n *naming) learn(t factResult) {
	n.readingFacts = false
	maps.Copy(n.known, t.facts)
	for _, p := range t.unclear {
		n.unclear[p] = true
	}
	n.scheduleRetry()
}

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
		return !slices.ContainsFunc(a.list.Published, func(p engine.Published) bool {
			return h == publication{p.Container.ID, p.Port}
		})
	})
	n.failing = slices.ContainsFunc(a.list.Failed, func(f engine.Failure) bool { return passes(f.Err) })
	n.scheduleRetry()
}

// vanished returns the engines with known containers that have no socket now: an engine that stops removes it.
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

// passes reports whether an engine that failed with this error may answer a later question.
func passes(err error) bool {
	return !errors.Is(err, engine.ErrNotRunning) && !errors.Is(err, fs.ErrPermission)
}

// scheduleRetry schedules a retry of the failures.
func (n *naming) scheduleRetry() {
	switch {
	case !n.failing && len(n.unclear) == 0:
		n.retry, n.pause = nil, 0
	case n.retry == nil:
		n.pause = min(max(2*n.pause, retrySoon), retryLater)
		n.retry = time.After(n.pause)
	}
}

// tryAgain clears the failures, so that begin asks again.
func (n *naming) tryAgain() {
	n.retry, n.outdated = nil, n.asked != nil
	clear(n.unclear)
}

// kept returns the published ports of engines that answered before and do not answer now. A container does not end
// because its engine is silent. But a new listener on the port need not be the same container. And if the engine has
// ended, only a socket shows that its container still runs.
func (n *naming) kept(a answer) []engine.Published {
	fresh := map[uint16]bool{}
	for id := range a.asked {
		fresh[id.Port] = fresh[id.Port] || !n.asked[id]
	}
	return slices.DeleteFunc(slices.Clone(n.answered.Published), func(p engine.Published) bool {
		if slices.ContainsFunc(a.list.Published, func(q engine.Published) bool {
			return q.Port == p.Port && q.Container.ID == p.Container.ID
		}) {
			return true // its engine has another socket, too
		}
		err := failed(a.list, p.Container.Endpoint)
		ended := errors.Is(err, engine.ErrNotRunning) && n.by[publication{p.Container.ID, p.Port}] != bySocket
		return err == nil || fresh[p.Port] || ended
	})
}

// name returns the listeners with all known facts. The scan of the listeners started at began.
func (n *naming) name(listeners []server.Listener, began time.Time) []server.Listener {
	if n.facts == nil {
		return listeners
	}
	named := slices.Clone(listeners)
	for i := range named {
		if f, ok := n.known[named[i].Owner]; ok {
			named[i].Facts = f
		}
	}
	// A process that closes its port and opens it again is still the same, so its facts are kept for a while.
	if len(n.known) > 2*len(named)+64 {
		current := map[owner.Process]bool{}
		for _, l := range named {
			current[l.Owner] = true
		}
		maps.DeleteFunc(n.known, func(p owner.Process, _ facts.Facts) bool { return !current[p] })
		maps.DeleteFunc(n.ports, func(p owner.Process, _ int) bool { return !current[p] })
	}
	if n.asked != nil {
		named = n.withContainers(named, began)
	}
	n.note(named, began)
	return named
}
