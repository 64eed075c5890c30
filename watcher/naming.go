package watcher

import (
	"context"
	"maps"
	"slices"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

// A naming finds out whose servers the listeners are, away from the ticks: each process is asked about once, and the container
// engines once for every listener that may be a container's. Its state belongs to the goroutine of Run.
type naming struct {
	facts      func(context.Context, owner.Process) owner.Facts // nil if nothing is to be found out
	containers func(ctx context.Context, wake bool) engine.List
	watch      func(context.Context, chan<- struct{}) // tells when the engines have something new to tell, until its context is done
	answers    chan answer

	known    map[owner.Process]owner.Facts
	asked    map[ID]bool          // the listeners for which the engines were asked
	answered engine.List          // what they said
	held     map[publication]bool // what of it has been seen with a socket
	outdated bool                 // they have something new to tell
	busy     bool                 // an answer is under way
}

// An answer is what was found out at one go.
type answer struct {
	facts map[owner.Process]owner.Facts
	list  engine.List
	asked map[ID]bool // nil if the engines were not asked
}

// systemNaming returns the naming that asks this system.
func systemNaming() naming {
	var engines engine.Engines
	return naming{facts: owner.Tell, containers: engines.List, watch: engines.Watch}
}

// begin starts to find out what is not known yet about the listeners, unless that is under way. The answer arrives at n.answers.
func (n *naming) begin(ctx context.Context, listeners []Listener) {
	if n.facts == nil || n.busy {
		return
	}
	processes, ask := n.wanted(listeners)
	if len(processes) == 0 && ask == nil {
		return
	}
	n.busy, n.outdated = true, false
	facts, containers := n.facts, n.containers
	wake := slices.ContainsFunc(listeners, func(l Listener) bool { return l.Owner.Forwards() })
	go func() {
		a := answer{facts: make(map[owner.Process]owner.Facts, len(processes)), asked: ask}
		for p := range processes {
			a.facts[p] = facts(ctx, p)
		}
		if ask != nil {
			a.list = containers(ctx, wake)
		}
		n.answers <- a // there is room for the only one under way
	}()
}

// wanted returns the processes whose facts are not known, and the listeners for which the engines are to be asked: nil if they
// are not.
func (n *naming) wanted(listeners []Listener) (processes map[owner.Process]bool, ask map[ID]bool) {
	processes, forwarded := map[owner.Process]bool{}, map[ID]bool{}
	news := n.outdated
	for _, l := range listeners {
		if _, ok := n.known[l.Owner]; !ok && l.Owner.Known() {
			processes[l.Owner] = true
		}
		if forwardable(l) {
			forwarded[l.ID()] = true
			news = news || !n.asked[l.ID()]
		}
	}
	if !news && len(forwarded) == len(n.asked) {
		return processes, nil
	}
	return processes, forwarded
}

// forwardable reports whether a listener may be a container's.
func forwardable(l Listener) bool { return !l.Owner.Known() || l.Owner.Forwards() }

// learn takes in an answer.
func (n *naming) learn(a answer) {
	n.busy = false
	if n.known == nil {
		n.known = map[owner.Process]owner.Facts{}
	}
	maps.Copy(n.known, a.facts)
	if a.asked != nil {
		a.list.Published = append(a.list.Published, n.kept(a)...)
		n.asked, n.answered = a.asked, a.list
		maps.DeleteFunc(n.held, func(h publication, _ bool) bool {
			return !slices.ContainsFunc(a.list.Published, func(p engine.Published) bool { return h == publication{p.Container.ID, p.Port} })
		})
	}
}

// kept returns what is still believed of the engines that answered before and do not now: a container does not end because its
// engine cannot be asked. But what listens on a port for the first time need not be what it was.
func (n *naming) kept(a answer) []engine.Published {
	unsure := map[string]bool{}
	for _, f := range a.list.Failed {
		unsure[f.Endpoint] = true
	}
	fresh := map[uint16]bool{}
	for id := range a.asked {
		fresh[id.Port] = fresh[id.Port] || !n.asked[id]
	}
	return slices.DeleteFunc(slices.Clone(n.answered.Published), func(p engine.Published) bool {
		return !unsure[p.Container.Endpoint] || fresh[p.Port]
	})
}

// name returns the listeners with all that is known about them.
func (n *naming) name(listeners []Listener) []Listener {
	if n.facts == nil {
		return listeners
	}
	named := slices.Clone(listeners)
	current := make(map[owner.Process]owner.Facts, len(named))
	for i, l := range named {
		if f, ok := n.known[l.Owner]; ok {
			named[i].Facts, current[l.Owner] = f, f
		}
	}
	// A process that closes its port and opens it again is still the same one, so its facts are not forgotten at once.
	if len(n.known) > 2*len(current)+64 {
		n.known = current
	}
	if n.held == nil {
		n.held = map[publication]bool{}
	}
	return withContainers(named, n.answered, n.held)
}
