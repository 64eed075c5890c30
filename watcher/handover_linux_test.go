package watcher

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// handOvers is the number of rounds of TestHandOver.
const handOvers = 10_000

// TestHandOver attacks Stop and Kill. The shown process hands over its PID, its port or both before the signal. The
// signal must not hit the new owner. The test forces PID reuse in its own PID and network namespaces.
func TestHandOver(t *testing.T) {
	const stages, lanes = 8, 2 // stages are namespaces; a scan sees one of them
	dir, err := os.MkdirTemp("", "handover")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, other := filepath.Join(dir, "handover"), filepath.Join(dir, "other")
	build := exec.Command("go", "build", "-buildvcs=false", "-race=false", "-o", program, "./testdata/handover")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := copyFile(program, other); err != nil {
		t.Fatal(err)
	}
	probe := apart(roleCommand("", "-test.run=^$"))
	probe.Stderr = nil // it warns that no test ran
	if err := probe.Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("this user may not make a PID namespace: ", err)
	}
	rounds := handOvers
	if testing.Short() {
		rounds /= 10
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	var playing sync.WaitGroup
	total := score{}
	for i := range stages {
		playing.Go(func() {
			cmd := apart(roleCommand("handover", program, other, strconv.Itoa(lanes), strconv.Itoa(rounds/stages),
				strconv.FormatUint(seed+uint64(i), 10)))
			out, err := cmd.Output()
			var got score
			if err = errors.Join(err, json.Unmarshal(out, &got)); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(got)
		})
	}
	playing.Wait()
	t.Logf("%d rounds, %d with a reused PID; %d victims ended", total.Rounds, total.Reused, total.Ended)
	for _, scene := range slices.Sorted(maps.Keys(total.Scenes)) {
		t.Logf("%5d × %s", total.Scenes[scene], scene)
	}
	if total.Rounds < rounds/stages*stages || total.Reused < rounds/4 || total.Ended < rounds/10 {
		t.Errorf("want %d rounds: played %d, %d with a reused PID, and ended %d victims", rounds,
			total.Rounds, total.Reused, total.Ended)
	}
	for i, wrong := range total.Wrong {
		if i == 20 {
			t.Errorf("and %d more", len(total.Wrong)-i)
			break
		}
		t.Error(wrong)
	}
}

// apart makes a command run as the first process of new PID, network and mount namespaces.
func apart(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
	}
	return cmd
}

// A score sums up many rounds.
type score struct {
	Rounds int
	Reused int // rounds in which the victim's PID was reused
	Ended  int // victims that were ended
	Scenes map[string]int
	Wrong  []string // innocents that were hit, and victims that were missed although nothing had changed
}

func (t *score) add(u score) {
	t.Rounds += u.Rounds
	t.Reused += u.Reused
	t.Ended += u.Ended
	t.Wrong = append(t.Wrong, u.Wrong...)
	if t.Scenes == nil {
		t.Scenes = map[string]int{}
	}
	for scene, n := range u.Scenes {
		t.Scenes[scene] += n
	}
}

// An order is a command to testdata/handover, which documents it and its answer.
type order struct {
	Do    string
	Who   string
	To    string
	PID   int32
	Port  int
	Share bool
}

// A handOver is a kind of round. Every process but the victim is innocent.
type handOver struct {
	name     string
	set      []order                                 // before the scan; the victim listens already
	share    bool                                    // the victim listens with SO_REUSEPORT
	attack   func(pid, free int32, port int) []order // between the scan and the signal; free is an unused PID
	spare    bool                                    // do not hit the victim if the attack comes before the last scan
	partners []string                                // shown together with the victim
	leads    bool                                    // the victim does not listen, and is the master of its partners
}

const nowhere = -1

var handOverScenes = []handOver{
	{name: "nothing happens"},
	{name: "the PID goes to another one", attack: func(pid, _ int32, _ int) []order {
		return []order{{Do: "end", Who: "victim"}, {Do: "start", Who: "innocent", PID: pid, Port: nowhere}}
	}},
	{name: "PID and port go to another one", attack: func(pid, _ int32, port int) []order {
		return []order{{Do: "end", Who: "victim"}, {Do: "start", Who: "innocent", PID: pid, Port: port}}
	}},
	{name: "PID and port go to two others", attack: func(pid, free int32, port int) []order {
		return []order{{Do: "end", Who: "victim"}, {Do: "start", Who: "heir", PID: free, Port: port},
			{Do: "start", Who: "innocent", PID: pid, Port: nowhere}}
	}},
	{name: "the port goes to another one", spare: true, attack: func(_, free int32, port int) []order {
		return []order{{Do: "drop", Who: "victim"}, {Do: "start", Who: "heir", PID: free, Port: port}}
	}},
	{name: "the listener goes to another one", spare: true, set: []order{{Do: "start", Who: "heir", Port: nowhere}},
		attack: func(_, _ int32, _ int) []order {
			return []order{{Do: "give", Who: "victim", To: "heir"}}
		}},
	{name: "the listener goes to another one and the PID to a third",
		set: []order{{Do: "start", Who: "heir", Port: nowhere}}, attack: func(pid, _ int32, _ int) []order {
			return []order{{Do: "give", Who: "victim", To: "heir"}, {Do: "end", Who: "victim"},
				{Do: "start", Who: "innocent", PID: pid, Port: nowhere}}
		}},
	{name: "a child has the listener still", set: []order{{Do: "bear", Who: "victim", To: "child"}},
		attack: func(_, _ int32, _ int) []order {
			return []order{{Do: "end", Who: "victim"}}
		}},
	{name: "a child has the listener still, and another one the PID",
		set: []order{{Do: "bear", Who: "victim", To: "child"}}, attack: func(pid, _ int32, _ int) []order {
			return []order{{Do: "end", Who: "victim"}, {Do: "start", Who: "innocent", PID: pid, Port: nowhere}}
		}},
	{name: "a zombie's child has the listener", set: []order{{Do: "bear", Who: "victim", To: "child"}},
		attack: func(_, _ int32, _ int) []order {
			return []order{{Do: "rot", Who: "victim"}}
		}},
	{name: "a neighbour shares the port", share: true, set: []order{{Do: "start", Who: "neighbour", Share: true}}},
	{name: "a neighbour shares the port, and another one gets the PID", share: true,
		set: []order{{Do: "start", Who: "neighbour", Share: true}},
		attack: func(pid, _ int32, port int) []order {
			return []order{{Do: "end", Who: "victim"},
				{Do: "start", Who: "innocent", PID: pid, Port: port, Share: true}}
		}},
	{name: "a forwarder gets PID and port", attack: func(pid, _ int32, port int) []order {
		return []order{{Do: "end", Who: "victim"}, {Do: "start", Who: "forwarder", PID: pid, Port: port},
			{Do: "disguise", Who: "forwarder"}}
	}},
	{name: "two share the work", share: true, partners: mate, set: withMate},
	{name: "one of two who share the work hands over its PID", share: true, partners: mate, set: withMate,
		attack: func(pid, _ int32, port int) []order {
			return []order{{Do: "end", Who: "victim"},
				{Do: "start", Who: "innocent", PID: pid, Port: port, Share: true}}
		}},
	{name: "one of two who share the work runs another program", share: true, spare: true, partners: mate,
		set: withMate, attack: func(_, _ int32, _ int) []order {
			return []order{{Do: "transform", Who: "victim"}}
		}},
	{name: "a master and its worker", share: true, leads: true, partners: mate, set: asMaster},
	{name: "a master hands over its PID", share: true, leads: true, partners: mate, set: asMaster,
		attack: func(pid, _ int32, port int) []order {
			return []order{{Do: "end", Who: "victim"}, {Do: "start", Who: "innocent", PID: pid, Port: nowhere}}
		}},
	{name: "a master hands over its PID to one who shares the port", share: true, leads: true, partners: mate,
		set: asMaster, attack: func(pid, _ int32, port int) []order {
			return []order{{Do: "end", Who: "victim"},
				{Do: "start", Who: "innocent", PID: pid, Port: port, Share: true}}
		}},
	{name: "a master runs another program", share: true, spare: true, leads: true, partners: mate, set: asMaster,
		attack: func(_, _ int32, _ int) []order {
			return []order{{Do: "transform", Who: "victim"}}
		}},
	{name: "another program runs under the PID", spare: true, attack: func(_, _ int32, _ int) []order {
		return []order{{Do: "transform", Who: "victim"}}
	}},
}

var (
	mate     = []string{"mate"}
	withMate = []order{{Do: "start", Who: "mate", Share: true}}
	// The mate inherits its listener from the victim.
	asMaster = []order{{Do: "bear", Who: "victim", To: "mate"}, {Do: "drop", Who: "victim"}}
)

// moments are the times of an attack: before End is called, before or after its last scan, or at a random time.
var moments = []string{"before", "before the scan", "after the scan", "meanwhile"}

// roleHandOver plays rounds in its own namespaces, several at once, and writes the score.
func roleHandOver(args []string) error {
	if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""), raiseLoopback()); err != nil {
		return err
	}
	var numbers [3]uint64
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.ParseUint(args[2+i], 10, 64); err != nil {
			return err
		}
	}
	lanes, rounds, seed := int(numbers[0]), int(numbers[1]), numbers[2]
	scores, errs := make([]score, lanes), make([]error, lanes)
	var playing sync.WaitGroup
	for i := range lanes {
		playing.Go(func() {
			l := lane{random: rand.New(rand.NewPCG(seed, uint64(i))), first: int32(4000 + 4000*i),
				score: score{Scenes: map[string]int{}}}
			errs[i] = l.play(args[0], args[1], rounds*(i+1)/lanes-rounds*i/lanes)
			scores[i] = l.score
		})
	}
	playing.Wait()
	var total score
	for _, t := range scores {
		total.add(t)
	}
	return errors.Join(errors.Join(errs...), json.NewEncoder(os.Stdout).Encode(total))
}

// A lane plays rounds one after another with its own processes.
type lane struct {
	score
	random *rand.Rand
	first  int32 // its lowest PID
	next   int32
	in     io.Writer
	out    *json.Decoder
}

func (l *lane) play(program, other string, rounds int) error {
	cmd := exec.Command(program, other)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	l.in, l.out = in, json.NewDecoder(bufio.NewReader(out))
	for range rounds {
		if err := l.round(handOverScenes[l.Rounds%len(handOverScenes)], moments[l.random.IntN(len(moments))],
			l.random.IntN(2) == 0); err != nil {
			return err
		}
	}
	return errors.Join(in.Close(), cmd.Wait())
}

// An answered is the answer to an order.
type answered struct {
	PID   int32
	Port  int
	Ended map[string]string
	Err   string
}

// tell sends an order. A process that starts without a given PID gets one that was not used recently.
func (l *lane) tell(o order) (answered, error) {
	if o.Do == "start" && o.PID == 0 {
		o.PID = l.free()
	}
	line, err := json.Marshal(o)
	if err != nil {
		return answered{}, err
	}
	if _, err := l.in.Write(append(line, '\n')); err != nil {
		return answered{}, err
	}
	var a answered
	if err := l.out.Decode(&a); err != nil {
		return a, err
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

func (l *lane) free() int32 {
	l.next = (l.next + 1) % 4000
	return l.first + l.next
}

// round plays one round.
func (l *lane) round(scene handOver, moment string, force bool) error {
	victim, err := l.tell(order{Do: "start", Who: "victim", Share: scene.share})
	if err != nil {
		return err
	}
	head, others := victim, []answered{}
	for _, o := range scene.set {
		if o.Do == "start" && o.Port != nowhere {
			o.Port = victim.Port
		}
		a, err := l.tell(o)
		if err != nil {
			return err
		}
		if a.Port = victim.Port; slices.Contains(scene.partners, cmp.Or(o.To, o.Who)) {
			others = append(others, a)
		}
	}
	if scene.leads {
		head, others = others[0], others[1:]
	}
	shown, err := shownAs(head, others, l.Rounds%4 == 0)
	if err != nil {
		return fmt.Errorf("%s: %w", scene.name, err)
	}
	if scene.leads {
		p, err := owner.Identify(victim.PID)
		if err != nil {
			return fmt.Errorf("%s: %w", scene.name, err)
		}
		shown.Master = p.ID()
	}
	attack := sync.OnceValue(func() error {
		if scene.attack == nil {
			return nil
		}
		for _, o := range scene.attack(victim.PID, l.free(), victim.Port) {
			a, err := l.tell(o)
			if err != nil {
				return err
			}
			if how := a.Ended["victim"]; how != "" && how != "status 0" {
				l.Ended++ // it was hit before the attack
			}
			if a.PID == victim.PID {
				l.Reused++
			}
		}
		return nil
	})
	result, err := l.end(shown, moment, force, attack)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", scene.name, moment, err)
	}
	return l.judge(scene, moment, force, result)
}

// shownAs returns the server that consists of these processes.
func shownAs(head answered, others []answered, scan bool) (s server.Server, err error) {
	for _, a := range append([]answered{head}, others...) {
		l, err := listenerOf(a, scan)
		if err != nil {
			return s, err
		}
		s.Parts = append(s.Parts, l)
	}
	s.Listener = s.Parts[0]
	return s, nil
}

// listenerOf returns the listener of a process. Without scan it only reads the process, which is faster.
func listenerOf(a answered, scan bool) (server.Listener, error) {
	if !scan {
		p, err := owner.Read(context.Background(), a.PID)
		return server.Listener{Port: uint16(a.Port), Owner: p}, err
	}
	s, err := Scan(context.Background())
	if err != nil {
		return server.Listener{}, err
	}
	for _, l := range server.OnPort(s.Listeners, uint16(a.Port)) {
		if l.Owner.PID == a.PID {
			return l, nil
		}
	}
	return server.Listener{}, fmt.Errorf("process %d with port %d is not in %+v", a.PID, a.Port, s.Listeners)
}

// end stops or kills the shown server during an attack.
func (l *lane) end(shown server.Server, moment string, force bool, attack func() error) (owner.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	looks, wait := 0, owner.Wait
	if shown.Master != (owner.ID{}) {
		wait = 200 * time.Millisecond // these masters do not end their workers
	}
	switch moment {
	case "before":
		if err := attack(); err != nil {
			return owner.Result{}, err
		}
		return End(ctx, shown, force, wait), nil
	case "meanwhile":
		later := make(chan error, 1)
		delay := time.Duration(l.random.IntN(4000)) * time.Microsecond
		go func() {
			time.Sleep(delay)
			later <- attack()
		}()
		r := End(ctx, shown, force, wait)
		<-later // fails if the victim was hit first
		return r, nil
	}
	return owner.End(ctx, shown.Group(), force, wait, func(ctx context.Context) ([]owner.Process, error) {
		if looks++; looks == 1 && moment == "before the scan" {
			if err := attack(); err != nil {
				return nil, err
			}
		}
		found, err := holdersOf(ctx, shown)
		if looks == 1 && moment == "after the scan" {
			err = errors.Join(err, attack())
		}
		return found, err
	}), attack()
}

// judge ends the round and checks which processes were hit.
func (l *lane) judge(scene handOver, moment string, force bool, result owner.Result) error {
	l.Rounds++
	l.Scenes[scene.name]++
	cleared, err := l.tell(order{Do: "clear"})
	if err != nil {
		return err
	}
	wrong := func(what string) {
		l.Wrong = append(l.Wrong, fmt.Sprintf("%s, %s: %s, with %+v", scene.name, moment, what, result))
	}
	hit := false
	for who, how := range cleared.Ended {
		switch {
		case how == "status 0", slices.Contains(scene.partners, who) && (how == "terminated" || how == "killed"):
		case who == "victim" && (how == "terminated" || how == "killed"):
			l.Ended++
			hit = true
			if scene.spare && moment != "meanwhile" &&
				(moment != "after the scan" || strings.Contains(scene.name, "program")) {
				wrong("the victim was hit although it was no longer the process that had been shown")
			}
		default:
			wrong(who + " ended by " + how)
		}
	}
	if ends := !scene.share || scene.partners != nil && (!scene.leads || force); scene.attack == nil &&
		(!hit || ends && result.Outcome != owner.Freed) {
		wrong("the victim was not ended")
	}
	return nil
}
