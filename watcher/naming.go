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

	told    chan told   // has room for the only one under way
	answers chan answer // the same
	telling bool        // told is awaited
	asking  bool        // an answer is awaited

	known   map[owner.Process]owner.Facts
	unclear map[owner.Process]bool // those that took too long; asked about again at retry

	asked    map[ID]bool           // the listeners for which the engines were asked; nil if they never were
	answered engine.List           // what they said
	at       time.Time             // when
	by       map[publication]means // what of it has been seen, and by what means
	outdated bool                  // they have something new to tell

	retry <-chan time.Time // when what failed is to be tried again; nil if nothing did
	pause time.Duration    // before that
}

// What failed is tried again after this pause, which doubles up to the longest.
const (
	retrySoon  = 2 * time.Second
	retryLater = time.Minute
)

// told is what was found out about some processes; for some of them it took too long.
type told struct {
	facts   map[owner.Process]owner.Facts
	unclear []owner.Process
	cost    time.Duration // of CPU time, about
}

// tellCost is the CPU time that it takes to find out the facts about a process, at most: mostly it is a tenth of that.
const tellCost = 3 * time.Millisecond

// An answer is what the engines said, and for which listeners they were asked.
type answer struct {
	list  engine.List
	asked map[ID]bool
	at    time.Time
}

// systemNaming returns the naming that asks this system.
func systemNaming() naming {
	var engines engine.Engines
	return naming{facts: owner.Tell, containers: engines.List, watch: engines.Watch}
}

// start makes the naming ready for use.
func (n *naming) start() {
	n.told, n.answers = make(chan told, 1), make(chan answer, 1)
	n.known, n.unclear, n.by = map[owner.Process]owner.Facts{}, map[owner.Process]bool{}, map[publication]means{}
}

// busy reports whether something is being found out.
func (n *naming) busy() bool { return n.telling || n.asking }

// begin starts to find out what is not known yet about the listeners, as far as that is not under way.
func (n *naming) begin(ctx context.Context, listeners []Listener) {
	if n.facts == nil {
		return
	}
	if unknown := n.unknown(listeners); !n.telling && len(unknown) > 0 {
		n.telling = true
		go func() { n.told <- tellAll(ctx, n.facts, unknown) }()
	}
	if asked, news := n.forwarded(listeners); !n.asking && news {
		n.asking, n.outdated = true, false
		wake := slices.ContainsFunc(listeners, func(l Listener) bool { return l.Owner.Forwards() })
		go func() { n.answers <- answer{n.containers(ctx, wake), asked, time.Now()} }()
	}
}

// tellAll finds out the facts about processes.
func tellAll(ctx context.Context, facts func(context.Context, owner.Process) (owner.Facts, bool), about []owner.Process) told {
	start := time.Now()
	t := told{facts: make(map[owner.Process]owner.Facts, len(about))}
	for _, p := range about {
		if f, ok := facts(ctx, p); ok {
			t.facts[p] = f
		} else {
			t.unclear = append(t.unclear, p)
		}
	}
	t.cost = min(time.Since(start), time.Duration(len(about))*tellCost)
	return t
}

// unknown returns the owners of which the facts are not known.
func (n *naming) unknown(listeners []Listener) []owner.Process {
	var unknown []owner.Process
	seen := map[owner.Process]bool{}
	for _, l := range listeners {
		p := l.Owner
		if _, known := n.known[p]; !known && p.Known() && !seen[p] && !n.unclear[p] {
			seen[p] = true
			unknown = append(unknown, p)
		}
	}
	return unknown
}

// forwarded returns the listeners for which the engines are to be asked, and whether there is a reason to ask now.
func (n *naming) forwarded(listeners []Listener) (forwarded map[ID]bool, news bool) {
	forwarded = map[ID]bool{}
	for _, l := range listeners {
		if forwardable(l) {
			forwarded[l.ID()] = true
		}
	}
	return forwarded, n.outdated || !maps.Equal(forwarded, n.asked)
}

// forwardable reports whether a listener may be a container's.
func forwardable(l Listener) bool { return !l.Owner.Known() || l.Owner.Forwards() }

// learn takes in what was told about owners.
func (n *naming) learn(t told) {
	n.telling = false
	maps.Copy(n.known, t.facts)
	for _, p := range t.unclear {
		n.unclear[p] = true
	}
	n.again(len(t.unclear) > 0)
}

// hear takes in an answer of the engines.
func (n *naming) hear(a answer) {
	n.asking = false
	a.list.Failed = append(a.list.Failed, n.vanished(a.list)...)
	a.list.Published = append(a.list.Published, n.kept(a)...)
	n.asked, n.answered, n.at = a.asked, a.list, a.at
	maps.DeleteFunc(n.by, func(h publication, _ means) bool {
		return !slices.ContainsFunc(a.list.Published, func(p engine.Published) bool { return h == publication{p.Container.ID, p.Port} })
	})
	n.again(slices.ContainsFunc(a.list.Failed, func(f engine.Failure) bool { return passes(f.Err) }))
}

// vanished returns the engines that published something when they were asked last, and of which nothing is heard any more: one that
// ends in good order takes its socket away.
func (n *naming) vanished(now engine.List) (gone []engine.Failure) {
	heard := slices.Concat(now.Answered, now.Spared)
	for _, f := range now.Failed {
		heard = append(heard, f.Endpoint)
	}
	for _, p := range n.answered.Published {
		if at := p.Container.Endpoint; !slices.Contains(heard, at) {
			heard = append(heard, at)
			gone = append(gone, engine.Failure{Endpoint: at, Err: engine.ErrNotRunning})
		}
	}
	return gone
}

// passes reports whether an engine that failed so may answer when it is asked again.
func passes(err error) bool {
	return !errors.Is(err, engine.ErrNotRunning) && !errors.Is(err, fs.ErrPermission)
}

// again sees to it that what failed is tried again.
func (n *naming) again(failed bool) {
	switch {
	case !failed && len(n.unclear) == 0:
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
	failed := map[string]error{}
	for _, f := range a.list.Failed {
		failed[f.Endpoint] = f.Err
	}
	fresh := map[uint16]bool{}
	for id := range a.asked {
		fresh[id.Port] = fresh[id.Port] || !n.asked[id]
	}
	return slices.DeleteFunc(slices.Clone(n.answered.Published), func(p engine.Published) bool {
		if slices.ContainsFunc(a.list.Published, func(q engine.Published) bool { return q.Port == p.Port && q.Container.ID == p.Container.ID }) {
			return true // its engine has another socket, too
		}
		err, unsure := failed[p.Container.Endpoint]
		ended := errors.Is(err, engine.ErrNotRunning) && n.by[publication{p.Container.ID, p.Port}] != bySocket
		return !unsure || fresh[p.Port] || ended
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
	}
	if n.asked == nil {
		return named
	}
	return n.withContainers(named, began)
}
