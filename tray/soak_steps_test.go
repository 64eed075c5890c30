//go:build linux && soak

package tray_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// This file has the steps about servers. Each returns a text about its action, or "" if it could do nothing.

// pick returns a random element.
func pick[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }

var names = []string{"web", "worker", "backend", "my srv", "srv_x", "été"}

// maxServers is the largest number of running servers. It exceeds the room at the top level of the menu.
const maxServers = 20

func (v *testServer) String() string {
	return fmt.Sprintf("%s (PID %d) of %s on %v", v.name, v.pid, v.in.name, v.binds)
}

func (v *testServer) subject() subject { return subject{v.head(), v.in.name, v.name} }

// port returns a port that is not in use and has not been for long.
func (s *soak) port() uint16 {
	const first, last = 10000, 32000 // ephemeral ports are above
	used := func(port uint16) bool {
		return slices.ContainsFunc(s.servers, func(v *testServer) bool {
			return slices.ContainsFunc(v.binds, func(b bind) bool { return b.port == port })
		}) || slices.ContainsFunc(s.boxes, func(v *testServer) bool { return v.head() == port }) ||
			slices.ContainsFunc(s.redirected, func(c container) bool { return c.port == port }) ||
			slices.ContainsFunc(s.hidden, func(m mark) bool { return m.port == port })
	}
	for {
		s.nextPort++
		if port := first + s.nextPort%(last-first); !used(port) {
			return port
		}
	}
}

// hosts are the addresses that servers listen on. Common ones occur more often.
var hosts = []struct{ network, host string }{
	{"tcp4", "127.0.0.1"}, {"tcp4", "127.0.0.1"}, {"tcp4", "127.0.0.1"}, {"tcp4", "127.0.0.2"}, {"tcp4", "0.0.0.0"},
	{"tcp6", "[::1]"}, {"tcp", "[::]"},
}

func (s *soak) bind() bind {
	at := pick(s.rng, hosts)
	return bind{at.network, at.host, s.port()}
}

// serve starts a server and records it in the ledger.
func (s *soak) serve(in *workplace, name string, binds ...bind) *testServer {
	s.t.Helper()
	v := s.open(in, name, false, binds...)
	s.servers = append(s.servers, v)
	v.up = s.enter(&change{port: v.head(), of: v.subject(), may: []what{isUp}, must: true, names: in.name})
	return v
}

// open starts a server without a record in the ledger.
func (s *soak) open(in *workplace, name string, reuse bool, binds ...bind) *testServer {
	s.t.Helper()
	v := &testServer{actor: s.begin(name, in), reuse: reuse}
	for _, b := range binds {
		v.listen(b)
	}
	v.exposed = slices.ContainsFunc(binds, bind.exposed)
	return v
}

// enter adds a change to the ledger.
func (s *soak) enter(c *change) *change {
	c.step = s.step
	s.ledger.add(c)
	s.allow(c, c.may...)
	if c.excuse == "" {
		c.excuse = s.trouble
	}
	if c.silent = s.silence(c.of); c.silent != "" {
		c.must = false
	}
	if s.rules.of(c.of).label != "" {
		c.names = ""
	}
	return c
}

// allow allows more notices about a change. The icon may then ask for attention.
func (s *soak) allow(c *change, may ...what) {
	for _, w := range may {
		if !slices.Contains(c.may, w) {
			c.may = append(c.may, w)
		}
		if w == isDown || w == isReplaced || w == isExposed || w == isLooping {
			s.lastAlarm = time.Now()
		}
	}
}

// drop removes a server from the running ones. A notice about its start need not come any more.
func (s *soak) drop(v *testServer) {
	s.servers = slices.DeleteFunc(s.servers, func(w *testServer) bool { return w == v })
	s.boxes = slices.DeleteFunc(s.boxes, func(w *testServer) bool { return w == v })
	if v.up != nil && v.up.excuse == "" {
		v.up.excuse = "it ended soon"
	}
}

// ends records in the ledger that a server is about to end unexpectedly.
func (s *soak) ends(v *testServer, how exit) *change {
	c := &change{port: v.head(), of: v.subject(), may: []what{isDown}, reason: how.told, names: v.in.name,
		must: v.settled() && !v.remains() && !how.interrupts()}
	if !v.stopped.IsZero() && time.Since(v.stopped) < 40*time.Second {
		c.must, c.may = false, append(c.may, isOutcome) // it may count as the outcome of the Stop
	}
	if how.crashes() {
		key := markOf(v.subject())
		s.crashes[key] = append(s.crashes[key], time.Now())
		if n := recent(s.crashes[key], 6*time.Minute); n >= 2 {
			c.may = append(c.may, isLooping)
			c.must = c.must && n <= 3
		}
	}
	return s.enter(c)
}

// recent counts the times within the last d.
func recent(times []time.Time, d time.Duration) (n int) {
	for _, t := range times {
		if time.Since(t) < d {
			n++
		}
	}
	return n
}

// some picks a random server that fits, nil if none does.
func (s *soak) some(fits func(*testServer) bool) *testServer {
	fitting := slices.DeleteFunc(slices.Clone(s.servers), func(v *testServer) bool { return !fits(v) })
	if len(fitting) == 0 {
		return nil
	}
	return pick(s.rng, fitting)
}

func anyServer(*testServer) bool { return true }

// single reports whether a server has one port and shares it with nobody. It must not be stubborn.
func single(v *testServer) bool { return len(v.binds) == 1 && !v.reuse && !v.stubborn }

// howFor picks a way to end a server.
func (s *soak) howFor(v *testServer) exit {
	how := pick(s.rng, exits)
	if v.stubborn && how.signal == syscall.SIGTERM {
		how = exits[1]
	}
	return how
}

func (s *soak) stepStart() string {
	if len(s.servers) >= maxServers {
		return ""
	}
	binds := []bind{s.bind()}
	for s.rng.IntN(4) == 0 {
		binds = append(binds, s.bind())
	}
	return fmt.Sprint("start ", s.serve(pick(s.rng, s.projects), pick(s.rng, names), binds...))
}

// stepStartMany starts up to six servers.
func (s *soak) stepStartMany() string {
	n := 0
	for ; n < 6 && len(s.servers) < maxServers; n++ {
		s.serve(pick(s.rng, s.projects), pick(s.rng, names), s.bind())
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("start %d servers", n)
}

func (s *soak) stepEnd() string {
	v := s.some(anyServer)
	if v == nil {
		return ""
	}
	how := s.howFor(v)
	s.endServer(v, how)
	return fmt.Sprintf("end %v: %s", v, how.told)
}

func (s *soak) endServer(v *testServer, how exit) {
	s.ends(v, how)
	v.end(how)
	if single(v) && how.crashes() {
		s.dead = append(s.dead, deadServer{v.in, v.name, v.binds[0], time.Now()})
	}
	s.drop(v)
}

// A deadServer is an ended server that stepRevive may start again on the same port.
type deadServer struct {
	in   *workplace
	name string
	bind bind
	at   time.Time
}

// stepRevive starts a server again, long after it ended.
func (s *soak) stepRevive() string {
	free := func(d deadServer) bool {
		return time.Since(d.at) > 12*time.Second &&
			!slices.ContainsFunc(s.servers, func(v *testServer) bool { return v.head() == d.bind.port })
	}
	s.dead = s.dead[max(0, len(s.dead)-8):]
	for i, d := range s.dead {
		if free(d) {
			s.dead = slices.Delete(s.dead, i, i+1)
			v := s.serve(d.in, d.name, d.bind)
			if recent(s.crashes[markOf(v.subject())], 6*time.Minute) >= 3 {
				v.up.must = false // after a notice that it keeps crashing
			}
			return fmt.Sprint("revive ", v)
		}
	}
	return ""
}

// stepPair starts two servers of different projects that share a port (SO_REUSEPORT).
func (s *soak) stepPair() string {
	if len(s.servers)+2 > maxServers {
		return ""
	}
	b := s.bind()
	order := s.rng.Perm(len(s.projects))
	for _, i := range order[:2] {
		v := s.open(s.projects[i], pick(s.rng, names), true, b)
		s.servers = append(s.servers, v)
		v.up = s.enter(&change{port: v.head(), of: v.subject(), may: []what{isUp}, must: true})
	}
	return fmt.Sprint("two servers at ", b)
}

// stepBurst makes a process listen on many ports, on each for a few milliseconds. There must be no notice about them.
func (s *soak) stepBurst() string {
	n := 5 + s.rng.IntN(25)
	first := s.port()
	for i := range uint16(n) {
		if p := s.port(); p != first+i+1 {
			return "" // a port between them is in use
		}
	}
	life := time.Duration(1+s.rng.IntN(40)) * time.Millisecond
	a := s.begin("burst", pick(s.rng, s.projects))
	longest, err := time.ParseDuration(a.order("burst %d %d %v", first, n, life))
	if err != nil {
		s.t.Fatal(err)
	}
	if longest > time.Second {
		for i := range uint16(n) {
			s.enter(&change{port: first + i, may: []what{isUp, isDown}})
		}
	}
	a.end(exits[0])
	return fmt.Sprintf("burst of %d ports from %d, each %v", n, first, life)
}

// stepUDP makes a server receive UDP packets. The menu must not show that.
func (s *soak) stepUDP() string {
	v := s.some(anyServer)
	if v == nil {
		return ""
	}
	v.order("udp %s:%d", pick(s.rng, []string{"127.0.0.1", "0.0.0.0", "[::1]"}), s.port())
	return fmt.Sprintf("%v receives packets", v)
}

// stepStubborn starts a server that ignores SIGTERM.
func (s *soak) stepStubborn() string {
	if len(s.servers) >= maxServers || s.some(func(v *testServer) bool { return v.stubborn }) != nil {
		return ""
	}
	v := s.serve(pick(s.rng, s.projects), "stubborn", s.bind())
	v.order("ignore")
	v.stubborn = true
	return fmt.Sprint("start ", v)
}

// stepStop stops or kills a server in the menu.
func (s *soak) stepStop() string {
	v := s.some(func(v *testServer) bool { return s.section(v.subject()) != "hidden" })
	if v == nil {
		return ""
	}
	verb := pick(s.rng, []string{"Stop", "Stop", "Kill"})
	if v.stubborn && verb == "Stop" && !v.stopped.IsZero() {
		verb = "Kill"
	}
	if !v.stopped.IsZero() { // the earlier Stop brings no more notice
		s.ledger.excuse("it was killed", func(c *change) bool {
			return c.port == v.head() && slices.Contains(c.may, isOutcome)
		})
	}
	s.enter(&change{port: v.head(), may: []what{isOutcome}, must: true})
	s.clickRow(v, fmt.Sprintf("%s %s (PID %d)", verb, v.name, v.pid))
	if v.stubborn && verb == "Stop" {
		v.stopped = time.Now()
		return fmt.Sprintf("Stop %v, but it ignores SIGTERM", v)
	}
	v.gone()
	s.drop(v)
	return fmt.Sprintf("%s %v", verb, v)
}

// stepStopAndBack stops a server in the menu and starts it again at once.
func (s *soak) stepStopAndBack() string {
	v := s.some(func(v *testServer) bool { return single(v) && s.section(v.subject()) != "hidden" })
	if v == nil {
		return ""
	}
	c := s.enter(&change{port: v.head(), may: []what{isOutcome, isBack, isUp}, must: true})
	s.clickRow(v, fmt.Sprintf("Stop %s (PID %d)", v.name, v.pid))
	v.gone()
	heir := s.open(v.in, v.name, false, v.binds...)
	s.drop(v)
	s.servers = append(s.servers, heir)
	heir.up, heir.restarts, heir.unsure = c, v.restarts+1, v.unsure
	return fmt.Sprintf("Stop %v, and it is back as %d", v, heir.pid)
}

// stepStale sends events for menu entries that are gone or never existed.
func (s *soak) stepStale() string {
	var ids []string
	for range 1 + s.qrng.IntN(6) {
		id := int32(1<<20 + s.qrng.IntN(1<<20)) // no entry ever has such a number
		if len(s.stale) > 0 && s.qrng.IntN(2) == 0 {
			old := pick(s.qrng, s.stale)
			id = old.id
			s.enter(&change{port: old.port, may: []what{isOutcome}})
		}
		event := pick(s.qrng, []string{"clicked", "clicked", "hovered", "closed", "nonsense"})
		s.item.event(id, event)
		ids = append(ids, event+" "+strconv.Itoa(int(id)))
	}
	return "events for stale entries: " + strings.Join(ids, ", ")
}
