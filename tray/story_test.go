package tray

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
)

// pauses are the waiting times before a step acts.
var pauses = []time.Duration{0, 131 * time.Millisecond, 617 * time.Millisecond, 1373 * time.Millisecond,
	2903 * time.Millisecond, 6301 * time.Millisecond, 17011 * time.Millisecond, 101113 * time.Millisecond}

// step does one thing. The low three bits of the first byte select the actor, its high bits the action. The low three
// bits of the second byte select the pause before it, its high bits the way.
func (m *machine) step(first, second byte) {
	m.wait(pauses[second&7])
	a, way := m.actors[first&7], second>>3
	how, late := ways[way&7], time.Duration(0)
	if way>>3 == 3 {
		late = 2 * time.Second
	}
	again := func(d time.Duration) {
		m.after(d, func() { m.begin(a, way); m.look() })
	}
	switch act := first >> 3; {
	case act < 7 && a.run == nil:
		m.begin(a, way)
	case act < 7:
		m.end(a, how, late)
	case act < 10 && a.run != nil: // it restarts, perhaps a little too late
		m.end(a, how, 0)
		m.look()
		again(time.Duration(way>>3)*2500*time.Millisecond + 300*time.Millisecond)
	case act < 12: // another one takes its port
		other := m.actors[1]
		if m.actors[1].run != nil {
			other = m.actors[0]
		}
		if holder := m.actors[0].run != nil || m.actors[1].run != nil; holder {
			m.end(m.actors[map[bool]int{true: 0, false: 1}[other == m.actors[1]]], how, 0)
		}
		m.begin(other, way)
	case act < 14 && a.run != nil:
		a.run.wide = !a.run.wide
	case act < 18:
		m.stop(a, way)
	case act < 22:
		m.wish(a, way)
	case act == 22 && !m.blind:
		m.blind = true
		m.loop.updates <- watcher.Update{Snapshot: lists(m.seen...), Err: errScan}
		synctest.Wait()
	case act == 22:
		m.blind = false
	case act == 23:
		m.away = !m.away
	case act == 24:
		m.woke = time.Now()
	case act == 25:
		for _, a := range m.actors {
			m.begin(a, way)
		}
	case act == 26:
		for _, a := range m.actors {
			if a.run != nil {
				m.end(a, how, 0)
			}
		}
	case act < 29 && a.run != nil: // it crashes, and something starts it again
		m.end(a, status(1), 0)
		m.look()
		again(time.Duration(way)*500*time.Millisecond + 250*time.Millisecond)
	case act < 31 && a.run != nil: // it closes its port for a moment
		m.end(a, owner.Exit{}, 0)
		m.look()
		again(400 * time.Millisecond)
	}
	m.look()
}

// begin starts an actor. Its owner may become known a while later.
func (m *machine) begin(a *actor, way byte) {
	if a.run != nil {
		return
	}
	m.start(a)
	if run := a.run; run != nil && !run.known {
		m.after(time.Duration(way)*200*time.Millisecond, func() { run.known = true; m.look() })
	}
}

// tellStory plays a story, and returns the ledger as text.
func tellStory(t *testing.T, story []byte) (told string) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for m.loop.serve(ctx) {
			}
		}()
		defer func() {
			cancel()
			<-ended
			m.loop.actions.Wait()
		}()
		m.look()
		m.wait(time.Minute)
		for i := 0; i+1 < len(story) && i < 300 && !t.Failed(); i += 2 {
			m.step(story[i], story[i+1])
		}
		m.blind, m.away = false, false
		m.look()
		m.wait(2 * time.Hour)
		m.book.check(t)
		m.atRest()
		told = m.book.String()
	})
	return told
}

// atRest checks that the loop has no task left, and no memory of past events.
func (m *machine) atRest() {
	j := &m.loop.judge
	if at, ok := j.next(); ok || len(j.fresh)+len(j.waiting)+len(j.due)+len(j.news)+len(j.lostAsleep) > 0 {
		m.t.Errorf("after two quiet hours, the judge has tasks for %v: fresh %v, waiting %v, due %v, lost %v", at,
			j.fresh, j.waiting, j.due, j.lostAsleep)
	}
	for name, n := range map[string]int{"restarts": len(j.restarts), "crashes": len(j.crashes),
		"looping": len(j.looping), "exposed": len(j.exposed)} {
		if n > len(m.actors)+1 {
			m.t.Errorf("the judge remembers %d %s for only %d servers", n, name, len(m.actors))
		}
	}
	for _, e := range m.loop.endings {
		if e.underWay() || len(e.pending) > 0 {
			m.t.Errorf("an ending never finishes: %+v", e)
		}
	}
}

// The notices match the events in any order of events, see ledger.
func TestStories(t *testing.T) {
	const stories = 1200
	for part := range uint64(8) {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			seed := part
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("seed %d: %q", seed, storyOf(seed))
				}
			})
			for ; seed < stories; seed += 8 {
				said := tellStory(t, storyOf(seed)) // does not return if it fails
				if seed < 100 && said != tellStory(t, storyOf(seed)) {
					t.Fatal("the same story has another result the second time")
				}
			}
		})
	}
}

// storyOf returns a random story. It repeats a few actions often.
func storyOf(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 8))
	story := make([]byte, 2*(4+r.IntN(60)))
	words := make([]byte, 1+r.IntN(12))
	for i := range words {
		words[i] = byte(r.Uint32())
	}
	for i := range story {
		story[i] = byte(r.Uint32())
		if i%2 == 0 && r.IntN(3) > 0 {
			story[i] = words[r.IntN(len(words))]
		}
	}
	return story
}

func FuzzStory(f *testing.F) {
	for _, story := range [][]byte{{}, slices.Repeat([]byte{0xd8, 0x87}, 6),
		[]byte("the quick brown fox jumps over the lazy dog"), storyOf(1), storyOf(2)} {
		f.Add(story)
	}
	f.Fuzz(func(t *testing.T, story []byte) { tellStory(t, story) })
}
