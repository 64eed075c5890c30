package owner

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is the longest wait for an expected event.
const patience = 20 * time.Second

func newPins(t *testing.T) *Pins {
	t.Helper()
	p, err := NewPins()
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("before Linux 5.3 there are no pidfds:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A sleeper is a process that does nothing.
type sleeper struct {
	Process
	cmd *exec.Cmd
}

func newSleeper(t *testing.T) sleeper {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // Pdeathsig follows this thread, so it must live as long as the test
	t.Cleanup(runtime.UnlockOSThread)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := sleeper{cmd: cmd}
	t.Cleanup(s.kill)
	var err error
	if s.Process, err = Identify(int32(cmd.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	return s
}

// kill kills the process and reaps it.
func (s sleeper) kill() {
	s.cmd.Process.Kill() // fails if it has ended
	s.cmd.Wait()         // fails because it was killed
}

// next waits for Wake and returns the next PID in Ended.
func (p *Pins) next(t *testing.T) int32 {
	t.Helper()
	select {
	case <-p.Wake:
	case <-time.After(patience):
		t.Fatal("no wake-up came")
	}
	select {
	case pid := <-p.Ended:
		return pid
	default:
		t.Fatal("woken without an exit")
		return 0
	}
}

// openFiles returns how many files this process has open.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestPins(t *testing.T) {
	p := newPins(t)
	defer p.Close()
	bystander := newSleeper(t)
	for range 50 {
		one, two := newSleeper(t), newSleeper(t)
		if !p.Hold(one.Process) || !p.Hold(bystander.Process) {
			t.Fatal("a process cannot be pinned")
		}
		two.kill()
		one.kill()
		if got := p.next(t); got != one.PID {
			t.Errorf("process %d ended, want %d", got, one.PID)
		}
	}
	select {
	case pid := <-p.Ended:
		t.Errorf("process %d ended, too; %d lives", pid, bystander.PID)
	case <-p.Wake:
		t.Error("woken again")
	default:
	}
}

// TestPinsMany ends more processes than the channel holds.
func TestPinsMany(t *testing.T) {
	p := newPins(t)
	defer p.Close()
	var all []sleeper
	var want, got []int32
	for range 100 {
		s := newSleeper(t)
		if !p.Hold(s.Process) {
			t.Fatal("a process cannot be pinned")
		}
		all, want = append(all, s), append(want, s.PID)
	}
	for _, s := range all {
		s.kill()
	}
	select {
	case <-p.Wake:
	case <-time.After(patience):
		t.Fatal("no wake-up came")
	}
	for late := time.After(patience); len(got) < len(want); {
		select {
		case pid := <-p.Ended:
			got = append(got, pid)
		case <-late:
			t.Fatalf("%d processes ended, want %d", len(got), len(want))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("processes %v ended, want %v", got, want)
	}
}

func TestPinsHold(t *testing.T) {
	p := newPins(t)
	defer p.Close()
	alive, ended, zombie := newSleeper(t), newSleeper(t), newSleeper(t)
	ended.kill()
	zombie.cmd.Process.Kill()
	for !zombie.Gone() {
		runtime.Gosched()
	}
	impostor := alive.Process
	impostor.Start++
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage collector would close files
	before := openFiles(t)
	for name, q := range map[string]Process{
		"an earlier process of that PID": impostor,
		"a process that has ended":       ended.Process,
		"a zombie":                       zombie.Process,
		"no process":                     {PID: 1<<31 - 1, Start: 1},
		"an unknown process":             {},
		"a process group":                {PID: -alive.PID, Start: alive.Start},
	} {
		if p.Hold(q) {
			t.Errorf("%s is pinned", name)
		}
	}
	if now := openFiles(t); now != before || len(p.held) > 0 {
		t.Errorf("%d files are open, %d were before; pinned are %v", now, before, p.held)
	}
	for range 3 {
		if !p.Hold(alive.Process) {
			t.Error("a process cannot be pinned")
		}
	}
	if now := openFiles(t); now != before+1 {
		t.Errorf("%d files are open, %d were before one was pinned", now, before)
	}
	// For the caller, the PID now belongs to another process.
	if p.Hold(impostor) || len(p.held) > 0 {
		t.Errorf("an impostor is pinned: %v", p.held)
	}
	if now := openFiles(t); now != before {
		t.Errorf("%d files are open, %d were before", now, before)
	}
}

// letGo makes all pinned processes loose except these, and releases the loose ones as if time had passed.
func (p *Pins) letGo(but ...int32) {
	now := time.Now()
	p.Keep(slices.Sorted(slices.Values(but)), now) // sorted, because PIDs start again after the highest
	p.Exits(now.Add(linger))
}

func TestPinsKeep(t *testing.T) {
	p := newPins(t)
	defer p.Close()
	var all []sleeper
	for range 6 {
		all = append(all, newSleeper(t))
	}
	slices.SortFunc(all, func(a, b sleeper) int { return int(a.PID - b.PID) })
	for _, s := range all {
		p.Hold(s.Process)
	}
	before, start := openFiles(t), time.Now()
	kept := []int32{1, all[1].PID, all[4].PID}
	for _, after := range []time.Duration{0, linger / 2, linger - 1} {
		p.Keep(kept, start.Add(after))
		exits, waiting := p.Exits(start.Add(after))
		if len(exits) > 0 || waiting || openFiles(t) != before || len(p.held) != 6 || p.loose != 4 {
			t.Errorf("after %v: ended are %v, waiting: %v, %d of %d are loose", after, exits, waiting, p.loose,
				len(p.held))
		}
	}
	if !p.Hold(all[5].Process) || p.loose != 3 {
		t.Errorf("one is held again, and %d are loose", p.loose)
	}
	p.Exits(start.Add(linger))
	if now := openFiles(t); now != before-3 || len(p.held) != 3 || p.loose != 0 {
		t.Errorf("%d files are open, %d were before; pinned are %v, %d of them loose", now, before, p.held, p.loose)
	}
	p.letGo(kept...)
	for _, i := range []int{0, 2, 3, 5, 4} { // the last is still pinned
		all[i].kill()
	}
	if got := p.next(t); got != all[4].PID {
		t.Errorf("process %d ended, want %d", got, all[4].PID)
	}
	if !p.Hold(all[1].Process) {
		t.Error("a pinned process cannot be pinned")
	}
	before = openFiles(t) // package os has closed its own files for the ended processes
	p.letGo()
	if now := openFiles(t); now != before-2 || len(p.held) > 0 || p.loose != 0 {
		t.Errorf("%d files are open, %d were before; pinned are %v", now, before, p.held)
	}
}

// TestPinsIdle checks that Exits without news allocates nothing.
func TestPinsIdle(t *testing.T) {
	p := newPins(t)
	defer p.Close()
	s := newSleeper(t)
	p.Hold(s.Process)
	if allocs := testing.AllocsPerRun(10, func() { p.Exits(time.Now()) }); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestPinsBound(t *testing.T) {
	p := newPins(t)
	defer p.Close()
	before := openFiles(t)
	var all []sleeper
	for range maxPins + 3 {
		all = append(all, newSleeper(t))
	}
	handles := openFiles(t) - before // package os may keep some of its own
	for i, s := range all {
		if got := p.Hold(s.Process); got != (i < maxPins) {
			t.Fatalf("process %d of %d is pinned: %v", i, len(all), got)
		}
	}
	if now := openFiles(t); now-before-handles != maxPins {
		t.Errorf("%d pidfds are open, want %d", now-before-handles, maxPins)
	}
	if !p.Hold(all[0].Process) {
		t.Error("a pinned process was refused for lack of space")
	}
	p.Keep([]int32{all[0].PID}, time.Now())
	for _, s := range all[maxPins:] { // Hold releases loose ones for them
		if !p.Hold(s.Process) {
			t.Error("a process was refused although there is space")
		}
	}
	if len(p.held) != maxPins || p.loose != maxPins-4 {
		t.Errorf("%d are pinned, %d of them loose", len(p.held), p.loose)
	}
	p.letGo(all[0].PID, all[maxPins].PID, all[maxPins+1].PID, all[maxPins+2].PID)
	all[maxPins].kill()
	if got := p.next(t); got != all[maxPins].PID {
		t.Errorf("process %d ended, want %d", got, all[maxPins].PID)
	}
}

// TestPinsClose checks that Close leaves nothing open, in every situation.
func TestPinsClose(t *testing.T) {
	for name, deaths := range map[string]int{"nothing": 0, "one death": 1, "more than fit": 100} {
		t.Run(name, func(t *testing.T) {
			var all []sleeper
			for range deaths + 2 {
				all = append(all, newSleeper(t))
			}
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the garbage collector would close files
			newPins(t).Close()                               // so that the runtime has opened the files that it keeps
			collectors(t)
			before := openFiles(t)
			p := newPins(t)
			for _, s := range all {
				p.Hold(s.Process)
			}
			for _, s := range all[:deaths] {
				s.cmd.Process.Kill()
			}
			if deaths > 0 {
				select {
				case <-p.Wake:
				case <-time.After(patience):
					t.Fatal("no wake-up came")
				}
			}
			p.Close()
			collectors(t)
			if now := openFiles(t); now != before {
				t.Errorf("%d files are open, %d were before", now, before)
			}
		})
	}
}

// collectors waits until no set runs collect any more.
func collectors(t *testing.T) {
	t.Helper()
	stack := make([]byte, 1<<20)
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		if !strings.Contains(string(stack[:runtime.Stack(stack, true)]), "(*Pins).collect") {
			return
		}
		if time.Now().After(end) {
			t.Fatal("a goroutine runs after Close")
		}
	}
}
