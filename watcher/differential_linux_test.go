package watcher

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/server"
)

var (
	differentialSteps = flag.Int("differential.steps", 150, "how many steps TestDifferential takes")
	differentialSeed  = flag.Uint64("differential.seed", 0,
		"random seed of TestDifferential; 0 for a new one each time")
)

// TestDifferential performs random steps: processes open, share, pass on and close listeners, fork, exec and end. After
// every step the result of the scan must match the state that the test keeps.
//
//	go test -run Differential -differential.steps 5000 -v ./watcher
func TestDifferential(t *testing.T) {
	needIPv6(t)
	seed := *differentialSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	d := &drama{
		stage: newStage(t),
		rand:  rand.New(rand.NewPCG(seed, 0)),
		props: map[string]*prop{},
		names: map[server.ID]string{},
		done:  map[string]int{},
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("-differential.seed %d, the last steps:\n\t%s", seed, strings.Join(d.script, "\n\t"))
		}
	})
	quick, slow, old := newFast(t), newFast(t), newScanner()
	slow.useProc()
	scans := map[string]int{}
	for n := range *differentialSteps {
		change := d.step()
		for name, s := range map[string]*fastScanner{quick.how.name: quick, "/proc/net/tcp as well": slow} {
			scans[name]++
			if why := d.follow(s, change); why != "" {
				t.Fatalf("step %d, %s: %s", n, name, why)
			}
		}
		if n%20 == 19 {
			scans["from scratch"]++
			snapshot, err := Scan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if why := d.wrong(snapshot, true); why != "" {
				t.Fatalf("step %d, from scratch: %s", n, why)
			}
		}
		if n%50 == 49 {
			scans["gopsutil"]++
			snapshot, err := old.scan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if why := d.wrong(snapshot, false); why != "" {
				t.Fatalf("step %d, gopsutil: %s", n, why)
			}
		}
	}
	t.Logf("steps: %v; scans: %v", d.done, scans)
}

// A drama is a stage with processes, and their expected state.
type drama struct {
	stage  *stage
	rand   *rand.Rand
	actors []*actor // alive
	props  map[string]*prop
	names  map[server.ID]string // of all actors, also ended ones, by ID with port 0
	count  int
	script []string
	done   map[string]int
}

// An actor is a puppet with its parent and program.
type actor struct {
	*puppet
	parent *actor // nil if it has ended
	name   string // of the program
}

// A prop is one listening socket.
type prop struct {
	name    string
	place   netip.AddrPort
	shares  bool // it has SO_REUSEPORT
	holders map[*actor]bool
}

// roots returns the holders whose parent holds nothing: each may be reported as the owner. A deeper descendant can hold
// the socket although its parent does not.
func (p *prop) roots() []*actor {
	var list []*actor
	for a := range p.holders {
		if !p.holders[a.parent] {
			list = append(list, a)
		}
	}
	return list
}

// A change says what a scan must detect, apart from the sockets themselves.
type change int

const (
	nothing  change = iota
	gaveUp          // an owner has closed a socket, and others may still hold it
	became          // a process has called exec
	hasEnded        // a process has ended
)

// follow scans as often as a scanner may need to notice the change, and returns the remaining mistake.
func (d *drama) follow(s *fastScanner, c change) (why string) {
	t := d.stage.t
	switch {
	case c == became:
		for range programRounds {
			rechecked(t, s)
		}
		fallthrough
	case c == gaveUp, c == hasEnded && s.wake() == nil:
		return d.wrong(rechecked(t, s), true)
	case c == hasEnded:
		for late := time.After(patience); ; {
			if why = d.wrong(settled(t, s), true); why == "" {
				return ""
			}
			select {
			case <-s.wake():
			case <-late:
				return why
			}
		}
	}
	return d.wrong(settled(t, s), true)
}

// wrong returns the difference between a snapshot and the expected state. Without precise, a snapshot may merge several
// sockets at one address and port, and its facts may be old.
func (d *drama) wrong(s Snapshot, precise bool) string {
	known := map[netip.AddrPort]map[server.ID]bool{} // the possible owners
	for _, p := range d.props {
		if known[p.place] == nil {
			known[p.place] = map[server.ID]bool{}
		}
		seen := false
		for _, a := range p.roots() {
			id := server.ID{Port: p.place.Port(), PID: a.PID, Start: a.Start}
			known[p.place][id] = true
			l, ok := s.Find(id)
			seen = seen || ok && slices.Contains(l.Addrs, p.place.Addr())
		}
		if !seen && (precise || !p.shares) {
			return fmt.Sprintf("no listener at %v has one of the owners %v: %q", p.place, p.roots(),
				found(s, p.place.Port()))
		}
	}
	for _, l := range s.Listeners {
		name, ours := d.names[server.ID{PID: l.Owner.PID, Start: l.Owner.Start}]
		for _, addr := range l.Addrs {
			place := netip.AddrPortFrom(addr, l.Port)
			if (ours || !l.Owner.Known() && known[place] != nil) && !known[place][l.ID()] {
				return fmt.Sprintf("the listener at %v has the wrong owner, process %d", place, l.Owner.PID)
			}
		}
		if ours && precise && l.Owner.Name != name {
			return fmt.Sprintf("process %d has the name %q, want %q", l.Owner.PID, l.Owner.Name, name)
		}
	}
	return ""
}

// String is for test messages.
func (a *actor) String() string { return fmt.Sprintf("%d (%s)", a.PID, a.name) }

// step performs a random act.
func (d *drama) step() change {
	type act struct {
		name   string
		weight int
		play   func(*actor) (change, string)
	}
	acts := []act{
		{"enters", 4, d.enters}, {"listens", 14, d.listens}, {"shares a port", 6, d.shares}, {"closes", 10, d.closes},
		{"bears", 6, d.bears}, {"hands down", 4, d.handsDown}, {"passes", 6, d.passes}, {"passes on", 6, d.passesOn},
		{"becomes", 3, d.becomes}, {"ends", 7, d.ends}, {"opens files", 5, d.opensFiles}, {"waits", 3, d.waits},
	}
	sum := 0
	for _, a := range acts {
		sum += a.weight
	}
	for {
		at := d.rand.IntN(sum)
		i := slices.IndexFunc(acts, func(a act) bool {
			at -= a.weight
			return at < 0
		})
		var who *actor
		if len(d.actors) > 0 {
			who = d.actors[d.rand.IntN(len(d.actors))]
		} else if acts[i].name != "enters" {
			continue
		}
		change, what := acts[i].play(who)
		if what == "" {
			continue // impossible now
		}
		const last = 30
		d.script = append(d.script[max(0, len(d.script)-last+1):], what)
		d.done[acts[i].name]++
		return change
	}
}

// arrive registers a puppet as an actor.
func (d *drama) arrive(p *puppet, parent *actor, name string) *actor {
	a := &actor{p, parent, name}
	d.actors = append(d.actors, a)
	d.names[server.ID{PID: a.PID, Start: a.Start}] = name
	return a
}

func (d *drama) enters(*actor) (change, string) {
	if len(d.actors) >= 8 {
		return nothing, ""
	}
	return nothing, fmt.Sprintf("%v enters", d.arrive(d.stage.enter(), nil, "puppet"))
}

// hold registers the socket that an actor opened.
func (d *drama) hold(a *actor, name, answer string, addr netip.Addr, shares bool) *prop {
	p := &prop{name, netip.AddrPortFrom(addr, uint16(number(d.stage.t, answer))), shares, map[*actor]bool{a: true}}
	d.props[name] = p
	return p
}

func (d *drama) newName() string {
	d.count++
	return fmt.Sprintf("s%d", d.count)
}

func (d *drama) listens(a *actor) (change, string) {
	if len(d.props) >= 60 {
		return nothing, ""
	}
	addrs := []string{"127.0.0.1", "127.0.0.1", "127.8.9.10", "0.0.0.0", "::1", "::"}
	addr, name, verb := netip.MustParseAddr(addrs[d.rand.IntN(len(addrs))]), d.newName(), "listen "
	shares := d.rand.IntN(4) == 0
	if shares {
		verb = "share "
	}
	answer, _ := a.tell(verb + name + " " + netip.AddrPortFrom(addr, 0).String())
	p := d.hold(a, name, answer, addr, shares)
	if d.rand.IntN(8) == 0 {
		a.tell("copy " + name)
		a.tell("files 0") // closes the copy
	}
	return nothing, fmt.Sprintf("%v listens on %v (%s, shares: %v)", a, p.place, name, shares)
}

// pick returns a random prop that satisfies ok.
func (d *drama) pick(ok func(*prop) bool) *prop {
	names := slices.Sorted(maps.Keys(d.props)) // the order of a map does not depend on the seed
	names = slices.DeleteFunc(names, func(name string) bool { return !ok(d.props[name]) })
	if len(names) == 0 {
		return nil
	}
	return d.props[names[d.rand.IntN(len(names))]]
}

func (d *drama) shares(a *actor) (change, string) {
	other := d.pick(func(p *prop) bool { return p.shares })
	if other == nil || len(d.props) >= 60 {
		return nothing, ""
	}
	name := d.newName()
	answer, _ := a.tell("share " + name + " " + other.place.String())
	p := d.hold(a, name, answer, other.place.Addr(), true)
	return nothing, fmt.Sprintf("%v listens on %v (%s), too", a, p.place, name)
}

// mine returns a random prop of an actor.
func (d *drama) mine(a *actor) *prop { return d.pick(func(p *prop) bool { return p.holders[a] }) }

// letGo records that an actor has closed a prop.
func (d *drama) letGo(a *actor, p *prop) {
	delete(p.holders, a)
	if len(p.holders) == 0 {
		delete(d.props, p.name)
	}
}

func (d *drama) closes(a *actor) (change, string) {
	p := d.mine(a)
	if p == nil {
		return nothing, ""
	}
	a.tell("close " + p.name)
	d.letGo(a, p)
	return gaveUp, fmt.Sprintf("%v closes %v (%s)", a, p.place, p.name)
}

// bear makes an actor fork a child that holds one of its sockets.
func (d *drama) bear(a *actor) (child *actor, p *prop) {
	p = d.mine(a)
	if p == nil || len(d.actors) >= 14 {
		return nil, nil
	}
	child = d.arrive(a.bear(p.name), a, a.name)
	p.holders[child] = true
	return child, p
}

func (d *drama) bears(a *actor) (change, string) {
	child, p := d.bear(a)
	if child == nil {
		return nothing, ""
	}
	return nothing, fmt.Sprintf("%v bears %v with %v (%s)", a, child, p.place, p.name)
}

func (d *drama) handsDown(a *actor) (change, string) {
	child, p := d.bear(a)
	if child == nil {
		return nothing, ""
	}
	a.tell("close " + p.name)
	d.letGo(a, p)
	return gaveUp, fmt.Sprintf("%v hands %v (%s) down to its child %v", a, p.place, p.name, child)
}

// give makes an actor pass a socket to an actor that is not an ancestor of a holder. A scan does not look up the
// ancestors of a known owner.
func (d *drama) give(a *actor) (to *actor, p *prop) {
	p = d.mine(a)
	if p == nil {
		return nil, nil
	}
	above := map[*actor]bool{}
	for h := range p.holders {
		for ; h != nil; h = h.parent {
			above[h] = true
		}
	}
	others := slices.DeleteFunc(slices.Clone(d.actors), func(a *actor) bool { return above[a] })
	if len(others) == 0 {
		return nil, nil
	}
	to = others[d.rand.IntN(len(others))]
	a.pass(p.name, to.puppet)
	p.holders[to] = true
	return to, p
}

func (d *drama) passes(a *actor) (change, string) {
	to, p := d.give(a)
	if to == nil {
		return nothing, ""
	}
	return nothing, fmt.Sprintf("%v passes %v (%s) to %v", a, p.place, p.name, to)
}

func (d *drama) passesOn(a *actor) (change, string) {
	to, p := d.give(a)
	if to == nil {
		return nothing, ""
	}
	a.tell("close " + p.name)
	d.letGo(a, p)
	return gaveUp, fmt.Sprintf("%v passes %v (%s) on to %v", a, p.place, p.name, to)
}

func (d *drama) becomes(a *actor) (change, string) {
	names := []string{"actor", "dancer", "singer", "a-name-of-over-15-bytes"}
	a.name = names[d.rand.IntN(len(names))]
	what := fmt.Sprintf("it becomes %v", a)
	a.become(a.name)
	d.names[server.ID{PID: a.PID, Start: a.Start}] = a.name
	return became, what
}

func (d *drama) ends(a *actor) (change, string) {
	if len(d.actors) < 3 {
		return nothing, ""
	}
	a.kill()
	what := fmt.Sprintf("%v ends", a)
	if d.rand.IntN(2) == 0 { // no zombie remains
		if a.parent != nil {
			a.parent.tell("bury")
		} else {
			unix.Waitid(unix.P_PIDFD, a.pidfd, nil, unix.WEXITED, nil)
		}
		what += " and is buried"
	}
	d.actors = slices.DeleteFunc(d.actors, func(b *actor) bool { return b == a })
	for _, b := range d.actors {
		if b.parent == a {
			b.parent = nil
		}
	}
	for _, p := range d.props {
		d.letGo(a, p)
	}
	return hasEnded, what
}

func (d *drama) opensFiles(a *actor) (change, string) {
	n := d.rand.IntN(200)
	a.tell(fmt.Sprintf("files %d", n))
	return nothing, fmt.Sprintf("%v has %d files open", a, n)
}

func (d *drama) waits(*actor) (change, string) { return nothing, "nothing happens" }
