//go:build linux && soak

package tray_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	soakFor  = flag.Duration("soak.for", 5*time.Minute, "how long TestSoak goes on: 90s, 5m, 1h; it takes nearly four minutes at the least")
	soakSeed = flag.Uint64("soak.seed", 0, "the seed of TestSoak's schedule; 0 takes one from the clock")
)

// A soak is the world of TestSoak: the program on a desktop of its own, and what the test did there.
type soak struct {
	*session
	rng, qrng *rand.Rand // for steps about servers, containers and wishes, and for all others
	ledger    ledger
	step      int
	log       []string // the last steps

	troupe   *troupe
	tokens   int
	nextPort uint16
	projects []*project
	servers  []*server // that run
	dead     []deadServer
	stale    []staleEntry
	leaves   []staleEntry // the Stops in the menu

	engine     *engine
	engineDown bool
	boxes      []*server   // forwarders of containers
	redirected []container // that have none

	restarts, crashes map[string][]time.Time // by mark

	rules  rules
	wrong  string // what is wrong with the settings file, as it is told
	pinned map[string]*mark
	hidden []mark // the latest last
	muted  map[string]bool
	mode   string
	paused bool

	heardNotes  int    // of the notification service that there is
	trouble     string // why notices may not arrive; empty if they do
	troubled    int    // for how many steps that has been so
	lastClick   time.Time
	lastAlarm   time.Time  // when something happened for which the icon may ask for attention
	stopReading func() int // ends the reading of somebody else, if there is one

	want      picture // the last that was expected
	got       string  // the last that was there
	read      []*holding
	slowest   time.Duration // of the times until the menu was right
	signalled int           // by the program, before the menu was read last
	strangers int           // how often a menu had a server whose owner was not known yet
	figures   figures
}

// A staleEntry is a Stop of a server that has ended.
type staleEntry struct {
	id   int32
	pid  int
	port uint16
}

func (s *soak) run(kind string, steps []step, rng *rand.Rand) {
	s.t.Helper()
	total := 0
	for _, st := range steps {
		total += st.weight
	}
	for {
		n := rng.IntN(total)
		i := 0
		for ; n >= steps[i].weight; i++ {
			n -= steps[i].weight
		}
		s.step++
		s.begun(kind)
		did := steps[i].do(s)
		if did == "" {
			continue
		}
		s.log[len(s.log)-1] += did
		s.sync()
		return
	}
}

// begun notes that a step begins, in case it is the last.
func (s *soak) begun(kind string) {
	if n := len(s.log); n > 0 && strings.HasSuffix(s.log[n-1], ": ") {
		s.log = s.log[:n-1] // it had nothing to do
	}
	s.log = append(s.log, fmt.Sprintf("%s %s step %d: ", time.Now().Format("15:04:05.000"), kind, s.step))
	s.log = s.log[max(0, len(s.log)-20):]
}

// A step is something that happens, with how often it does among others.
type step struct {
	weight int
	do     func(*soak) string
}

// churn are the steps that change servers, containers and wishes.
var churn = []step{
	{26, (*soak).stepStart}, {2, (*soak).stepStartMany}, {14, (*soak).stepEnd}, {10, (*soak).stepRestart}, {2, (*soak).stepFlap}, {4, (*soak).stepRevive},
	{6, (*soak).stepReplace}, {5, (*soak).stepHandOver}, {5, (*soak).stepExpose}, {8, (*soak).stepFurther}, {3, (*soak).stepPair},
	{4, (*soak).stepBurst}, {2, (*soak).stepUDP}, {2, (*soak).stepStubborn}, {10, (*soak).stepStop}, {3, (*soak).stepStopAndBack},
	{5, (*soak).stepContainer}, {4, (*soak).stepContainerEnds}, {1, (*soak).stepEngine},
	{3, (*soak).stepSettings}, {1, (*soak).stepWrongSettings}, {1, (*soak).stepNoSettings},
	{2, (*soak).stepMode}, {1, (*soak).stepPause}, {3, (*soak).stepMute}, {3, (*soak).stepPin}, {2, (*soak).stepUnpin}, {2, (*soak).stepHide}, {2, (*soak).stepShow},
}

// around are the steps that change what is around the program, other notification services first.
var around = []step{
	{3, (*soak).stepNotifier}, {10, (*soak).stepPanel}, {4, (*soak).stepReader}, {1, (*soak).stepOpened}, {3, (*soak).stepAbout}, {8, (*soak).stepNoteClick}, {10, (*soak).stepStale},
}

// report says what happened until the test failed.
func (s *soak) report(seed uint64) {
	if !s.t.Failed() {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, step %d; the last steps:\n%s\n", seed, s.step, strings.Join(s.log, "\n"))
	fmt.Fprintf(&b, "\nthe menu as it was read last:\n%s\n\nwhat was expected:\n%s\n\nwhat listens:\n", s.got, s.want.text)
	for _, h := range s.read {
		fmt.Fprintf(&b, "%+v\n", *h)
	}
	fmt.Fprintf(&b, "\nthe last notices:\n")
	for _, n := range s.ledger.told {
		fmt.Fprintf(&b, "%s %v\n", n.at.Format("15:04:05.000"), n.note)
	}
	fmt.Fprintf(&b, "\nwhat was done lately:\n")
	for _, c := range s.ledger.changes {
		if time.Since(c.at) < 2*toldWithin {
			fmt.Fprintln(&b, c)
		}
	}
	fmt.Fprintf(&b, "\nwishes: rules %+v, wrong %q, pinned %v, hidden %v, muted %v, mode %q, paused %v, notices %q\n", s.rules, s.wrong, s.pinnedKeys(), s.hidden, s.muted,
		s.mode, s.paused, s.trouble)
	s.t.Log(b.String())
}

func (s *soak) pinnedKeys() []string {
	keys := []string{}
	for key := range s.pinned {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func startSoak(t *testing.T, seed uint64) *soak {
	d := newDesktop(t)
	d.needNetwork()
	s := &soak{session: &session{desktop: d}, rng: rand.New(rand.NewPCG(seed, 1)), qrng: rand.New(rand.NewPCG(seed, 2)),
		restarts: map[string][]time.Time{}, crashes: map[string][]time.Time{}, pinned: map[string]*mark{}, muted: map[string]bool{}, mode: "My servers"}
	s.ledger.counts = map[what]int{}
	t.Cleanup(func() { s.report(seed) })
	s.heedSIGINT()
	program, server := s.builtForSoak()
	s.makeProjects("shop", "blog", "api", "docs", "web", "naïve_app")
	s.troupe = s.newTroupe(server)
	s.engine = d.startEngine()
	d.setenv(figuresAt, d.path("figures"))
	s.host, s.notes = d.startHost(), d.startNotifier(notifierShows)
	s.tray = d.start(program, "tray")
	s.item = s.host.item(patience)
	s.item.waitFor("list of ports", patience, func(menu *node) bool { return !strings.HasPrefix(menu.children[0].label, "Looking") })
	return s
}

// TestSoak lets happen to the program what happens in months beside a developer, and looks whether it stays right, honest and small:
//
//	go test -tags soak -run '^TestSoak$' -timeout 0 -v ./tray -soak.for 5m -soak.seed 1
//
// -soak.for is a duration with a unit (90s, 5m, 1h) for the whole of it, of which about two and a half minutes pass at rest; less than four
// minutes are exceeded. -soak.seed is any number; the seed is printed, and one seed stands for one order of steps about servers,
// containers, settings and choices (in which the times are those of the machine). Without -race the test is quicker; the program itself is
// built without it in any case. It needs what the other tests of this package need, and a network namespace of its own.
//
// The program is the one that is shipped, with one file added at build time that answers with figures from inside
// (testdata/soak/figures.go). Its servers are processes that do as they are told (testdata/soak/server).
//
//   - Steps: soak_steps_test.go and soak_restarts_test.go (servers), soak_session_test.go (panels,
//     notification services, containers and their engine, and what hosts send), soak_wishes_test.go (the settings file, and what is chosen in the menu).
//   - After every step the menu has to become what soak_picture_test.go makes of the text of /proc/PID/net/tcp and tcp6, of the open files of
//     all processes (soak_reading_test.go), and of what the person chose: each row in its order and section, its marks, its further
//     ports, and the process in its Stop and Kill; the header, the tooltip, and the badge on the icon.
//   - Meanwhile the ledger (soak_ledger_test.go) holds each notice against what was done: it is of a change of that kind on that port, once, with
//     the true reason; and nothing is told of what is muted, hidden or ruled out, of restarts, of bursts of short-lived listeners, or of
//     what the person stopped but the outcome. What had to be told must have been a minute later. Where a notification
//     service was away, hung or refused, or the person changed what is to be told while that was under way, it may be missing.
//   - The figures (soak_figures_test.go) are taken when all has ended and a minute has passed, after which the program lets go of what was in
//     the menu: first when each place of the menu has been used, then after ten minutes at most each time, and at the end. They
//     have to be what they were at first, but for a slack that is less than what would be left if something stayed of each step. The
//     resident memory may be 10 MB more: Go's collector and allocator give back what they have with delay.
//
// When it fails it prints the seed, the last steps, the menu, what was expected, what listens, and what was done lately.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) >> 10 & 0xffffff
	}
	t.Logf("seed %d, for %v", seed, *soakFor)
	s := startSoak(t, seed)
	begin := time.Now()
	end := begin.Add(*soakFor)

	s.fill()
	s.calm()
	s.checkpoint("start", true)
	for {
		left := time.Until(end) - calmFor - 15*time.Second
		s.churn(max(min(left, 10*time.Minute), 45*time.Second))
		s.calm()
		last := time.Until(end) < calmFor
		s.checkpoint(fmt.Sprintf("after %v", time.Since(begin).Round(time.Second)), false)
		if last {
			break
		}
	}
	t.Logf("%d steps in %v; the menu was right after %v at the latest", s.step, time.Since(begin).Round(time.Second), s.slowest.Round(time.Millisecond))
	t.Logf("%d menus had a server whose owner was not known yet", s.strangers)
	t.Logf("notices: %v; %d of the changes that had to be told were, %d others needed not be in the end", s.ledger.counts, s.ledger.checked, s.ledger.excused)
	t.Log(s.figures.table())
	s.tray.signal(syscall.SIGTERM)
	s.mustEnd()
	s.looksTidy()
}

// fill has the menu grow as far as it does: each of its places is used, and each of its lists is full. Then it does not grow by chance
// later.
func (s *soak) fill() {
	s.t.Helper()
	s.begun("fill")
	for range 4 {
		for len(s.servers) < maxServers {
			s.serve(pick(s.rng, s.projects), pick(s.rng, names), s.bind())
		}
		s.sync()
		for range maxMarked - len(s.hidden) {
			s.stepHide()
		}
		for len(s.servers) > 0 {
			s.endServer(s.servers[0], exits[1])
		}
		s.sync()
	}
}

// churn lets things happen for that long.
func (s *soak) churn(d time.Duration) {
	s.t.Helper()
	for begin := time.Now(); time.Since(begin) < d; {
		if s.qrng.IntN(6) == 0 {
			s.run("session", around, s.qrng)
		} else {
			s.run("churn", churn, s.rng)
		}
		s.relieve()
		s.sample()
	}
}

// relieve has a notification service be in trouble for some steps only: else there would be little that has to be told.
func (s *soak) relieve() {
	s.t.Helper()
	if s.troubled++; s.trouble == "" {
		s.troubled = 0
	} else if s.troubled > 10 {
		s.setNotifier("shows")
	}
}

// calmFor is how long nothing listens before figures are compared: what was taken out of the menu is removed a minute later, at the next
// change of the menu.
const calmFor = 64 * time.Second

// calm ends all servers, takes back what was chosen, and lets a minute go by in which only what is around the program changes.
func (s *soak) calm() {
	s.t.Helper()
	s.step++
	s.begun("calm")
	if s.stopReading != nil {
		s.stopReading()
	}
	if s.trouble != "" {
		s.setNotifier("shows")
	}
	if s.engineDown {
		s.stepEngine()
	}
	s.stepNoSettings()
	for _, key := range s.pinnedKeys() {
		s.unpin(key)
	}
	for len(s.hidden) > 0 {
		s.show(s.hidden[0])
	}
	if s.paused {
		s.stepPause()
	}
	if s.mode != "My servers" {
		s.chooseMode("My servers")
	}
	for len(s.servers) > 0 {
		s.endServer(s.servers[0], exits[1])
	}
	for _, v := range slices.Clone(s.boxes) {
		s.endBox(v)
	}
	for _, c := range slices.Clone(s.redirected) {
		s.endRedirected(c)
	}
	s.dead = nil
	s.sync()
	for begin := time.Now(); time.Since(begin) < calmFor; {
		steps := around
		if time.Since(begin) < calmFor/3 {
			steps = steps[1:] // first the ends are to be told
		}
		s.run("session", steps, s.qrng)
		s.relieve()
		time.Sleep(500 * time.Millisecond)
	}
	if s.stopReading != nil {
		s.stopReading()
	}
	if s.trouble != "" {
		s.setNotifier("shows")
	}
	// The next change of the menu removes what was out of sight for a minute.
	v := s.serve(s.projects[0], names[0], s.bind())
	s.sync()
	s.endServer(v, exits[0])
	s.sync()
}

// looksTidy makes sure that the program leaves no more behind than it means to.
func (s *soak) looksTidy() {
	s.t.Helper()
	for _, dir := range []string{".local/state/porttray", ".config/porttray", ".cache"} {
		entries, err := os.ReadDir(s.path("home/" + dir))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); name != "state.toml" && name != "seen.json" && name != "config.toml" && !strings.HasSuffix(name, ".lock") {
				s.t.Errorf("the program has left %s in %s", name, dir)
			}
		}
	}
	if info, err := os.Stat(s.tray.log); err == nil {
		s.t.Logf("its log has %d bytes", info.Size())
	}
}
