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
	soakFor = flag.Duration("soak.for", 5*time.Minute,
		"how long TestSoak goes on: 90s, 5m, 1h; it takes nearly four minutes at the least")
	soakSeed = flag.Uint64("soak.seed", 0, "the seed of TestSoak's schedule; 0 takes one from the clock")
)

// A soak is the state of TestSoak: the program on a desktop of its own, and the record of the test's actions.
type soak struct {
	*session
	rng, qrng *rand.Rand // rng: for servers, containers and choices; qrng: for all other steps
	ledger    ledger
	step      int
	log       []string // the last steps

	troupe   *troupe
	tokens   int
	nextPort uint16
	projects []*workplace
	servers  []*testServer // running servers
	dead     []deadServer
	stale    []staleEntry
	leaves   []staleEntry // the Stops in the menu

	engine     *engine
	engineDown bool
	boxes      []*testServer // forwarders of containers
	redirected []container   // containers without a forwarder

	restarts, crashes map[string][]time.Time // by mark

	rules  rules
	wrong  string // the error in the settings file, as the program quotes it
	pinned map[string]*mark
	hidden []mark // the latest last
	muted  map[string]bool
	mode   string
	paused bool

	heardNotes  int    // the notices already read from the present notification service
	trouble     string // why notices may not arrive; empty if they do
	troubled    int    // the number of steps since trouble was set
	lastClick   time.Time
	lastAlarm   time.Time  // the latest event that may make the icon ask for attention
	stopReading func() int // stops the other reader of the menu; nil if there is none

	want      picture // the latest expected menu
	got       string  // the latest menu
	read      []*holding
	slowest   time.Duration // the longest time until the menu was right
	signalled int           // the number of signals of the program before the latest reading of the menu
	strangers int           // the number of menus that had a server with an unknown owner
	figures   figures
}

// A staleEntry is a Stop entry of a server that has ended.
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

// begun logs the beginning of a step, in case the test fails in it.
func (s *soak) begun(kind string) {
	if n := len(s.log); n > 0 && strings.HasSuffix(s.log[n-1], ": ") {
		s.log = s.log[:n-1] // it had nothing to do
	}
	s.log = append(s.log, fmt.Sprintf("%s %s step %d: ", time.Now().Format("15:04:05.000"), kind, s.step))
	s.log = s.log[max(0, len(s.log)-20):]
}

// A step is an action of the test. Its weight says how often it runs compared to the others.
type step struct {
	weight int
	do     func(*soak) string
}

// churn are the steps that change servers, containers and wishes.
var churn = []step{
	{26, (*soak).stepStart}, {2, (*soak).stepStartMany}, {14, (*soak).stepEnd}, {10, (*soak).stepRestart},
	{2, (*soak).stepFlap}, {4, (*soak).stepRevive}, {6, (*soak).stepReplace}, {5, (*soak).stepHandOver},
	{5, (*soak).stepExpose}, {8, (*soak).stepFurther}, {3, (*soak).stepPair}, {4, (*soak).stepBurst},
	{2, (*soak).stepUDP}, {2, (*soak).stepStubborn}, {10, (*soak).stepStop}, {3, (*soak).stepStopAndBack},
	{5, (*soak).stepContainer}, {4, (*soak).stepContainerEnds}, {1, (*soak).stepEngine},
	{3, (*soak).stepSettings}, {1, (*soak).stepWrongSettings}, {1, (*soak).stepNoSettings},
	{2, (*soak).stepMode}, {1, (*soak).stepPause}, {3, (*soak).stepMute}, {3, (*soak).stepPin}, {2, (*soak).stepUnpin},
	{2, (*soak).stepHide}, {2, (*soak).stepShow},
}

// around are the steps that change the surroundings of the program. stepNotifier has to be the first.
var around = []step{
	{3, (*soak).stepNotifier}, {10, (*soak).stepPanel}, {4, (*soak).stepReader}, {1, (*soak).stepOpened},
	{3, (*soak).stepAbout}, {8, (*soak).stepNoteClick}, {10, (*soak).stepStale},
}

// report logs the history and the state of a failed test.
func (s *soak) report(seed uint64) {
	if !s.t.Failed() {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, step %d; the last steps:\n%s\n", seed, s.step, strings.Join(s.log, "\n"))
	fmt.Fprintf(&b, "\nthe latest menu:\n%s\n\nthe expected menu:\n%s\n\nthe listeners:\n", s.got, s.want.text)
	for _, h := range s.read {
		fmt.Fprintf(&b, "%+v\n", *h)
	}
	fmt.Fprintf(&b, "\nthe last notices:\n")
	for _, n := range s.ledger.told {
		fmt.Fprintf(&b, "%s %v\n", n.at.Format("15:04:05.000"), n.note)
	}
	fmt.Fprintf(&b, "\nthe latest changes:\n")
	for _, c := range s.ledger.changes {
		if time.Since(c.at) < 2*toldWithin {
			fmt.Fprintln(&b, c)
		}
	}
	fmt.Fprintf(&b, "\nwishes: rules %+v, wrong %q, pinned %v, hidden %v, muted %v, mode %q, paused %v, notices %q\n",
		s.rules, s.wrong, s.pinnedKeys(), s.hidden, s.muted,
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
	s := &soak{session: &session{testDesktop: d}, rng: rand.New(rand.NewPCG(seed, 1)), qrng: rand.New(rand.NewPCG(seed, 2)),
		restarts: map[string][]time.Time{}, crashes: map[string][]time.Time{}, pinned: map[string]*mark{},
		muted: map[string]bool{}, mode: "My servers"}
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
	s.item.waitFor("list of ports", patience, func(menu *node) bool {
		return !strings.HasPrefix(menu.children[0].label, "Looking")
	})
	return s
}

// TestSoak puts months of a developer's work into minutes. It checks that the program stays correct and small:
//
//	go test -tags soak -run '^TestSoak$' -timeout 0 -v ./tray -soak.for 5m -soak.seed 1
//
// -soak.for is the duration of the test with a unit (90s, 5m, 1h). About two and a half minutes of it pass at rest. The
// test takes nearly four minutes at least. -soak.seed is any number; the test prints it. A seed fixes the order of the
// steps about servers, containers, settings and choices, but not their times. The test is quicker without -race, and
// builds the program without it in any case. It needs the same tools as the other tests of this package, and a network
// namespace of its own.
//
// The program is the shipped one. One file added at build time answers with internal figures
// (testdata/soak/figures.go). The servers are processes that obey the test (testdata/soak/server).
//
//   - Steps: soak_steps_test.go and soak_restarts_test.go (servers), soak_session_test.go (panels, notification
//     services, containers and their engine, and signals of hosts), soak_wishes_test.go (the settings file and choices
//     in the menu).
//   - After every step the menu has to become right. soak_picture_test.go computes the expected menu from the listeners
//     (soak_reading_test.go) and the user's choices. It has each row in its order and section, with its marks, further
//     ports and the process of Stop and Kill. It also has the header, the tooltip, and the badge on the icon.
//   - Meanwhile the ledger (soak_ledger_test.go) compares each notice with the changes. Each notice needs a change of
//     that kind on that port, tells it once, and gives the true reason. There must be no notice about muted, hidden or
//     excluded servers, restarts or bursts of short-lived listeners. After a Stop there may be only its outcome. All
//     other changes need a notice within a minute. It may be missing if the notification service was away, hung or
//     refused, or if the user changed the choices meanwhile.
//   - The test takes the figures (soak_figures_test.go) a minute after all servers have ended, when the program has
//     released old menu entries. It does so first after each place of the menu has been used, then every ten minutes at
//     most, and at the end. The figures have to return to the first ones, plus a slack. A leak in each step would
//     exceed the slack. The resident memory may grow by 10 MB, because Go returns memory to the system with delay.
//
// A failed test prints the seed, the last steps, the menu, the expected menu, the listeners, and the latest changes.
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
	t.Logf("%d steps in %v; the menu was right after %v at the latest", s.step, time.Since(begin).Round(time.Second),
		s.slowest.Round(time.Millisecond))
	t.Logf("%d menus had a server whose owner was not known yet", s.strangers)
	t.Logf("notices: %v; %d changes had their notice, %d others were excused from it",
		s.ledger.counts, s.ledger.checked, s.ledger.excused)
	t.Log(s.figures.table())
	s.tray.signal(syscall.SIGTERM)
	s.mustEnd()
	s.looksTidy()
}

// fill makes the menu grow: it uses each place and fills each list. So the menu does not grow by chance later.
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

// churn runs random steps for that long.
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

// relieve ends trouble with the notification service after ten steps. Else few notices would be required.
func (s *soak) relieve() {
	s.t.Helper()
	if s.troubled++; s.trouble == "" {
		s.troubled = 0
	} else if s.troubled > 10 {
		s.setNotifier("shows")
	}
}

// calmFor is how long nothing listens before checkpoint compares figures. A minute after an entry has left the menu,
// the next change of the menu releases it.
const calmFor = 64 * time.Second

// calm ends all servers and undoes all choices. Then a minute passes, and only the surroundings of the program change.
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
			steps = steps[1:] // without stepNotifier, so that notices about the ends arrive
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
	// The next change of the menu releases entries that were invisible for a minute.
	v := s.serve(s.projects[0], names[0], s.bind())
	s.sync()
	s.endServer(v, exits[0])
	s.sync()
}

// looksTidy checks that the program leaves only its own files behind.
func (s *soak) looksTidy() {
	s.t.Helper()
	for _, dir := range []string{".local/state/porttray", ".config/porttray", ".cache"} {
		entries, err := os.ReadDir(s.path("home/" + dir))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			if name := e.Name(); name != "state.toml" && name != "seen.json" && name != "config.toml" &&
				!strings.HasSuffix(name, ".lock") {
				s.t.Errorf("the program has left %s in %s", name, dir)
			}
		}
	}
	if info, err := os.Stat(s.tray.log); err == nil {
		s.t.Logf("its log has %d bytes", info.Size())
	}
}
