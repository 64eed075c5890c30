package tray

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"porttray/watcher"
	"porttray/watcher/owner"
)

// A player makes a computer do what random bytes say, and knows what ought to be told of it.
type player struct {
	*evening
	servers [4]played
	ends    int       // that are to be told
	last    time.Time // when the last thing happened
}

// A played is a server that a player plays with.
type played struct {
	programs [2]program // that take the port from each other
	which    int
	up       bool
	since    time.Time // when that began
	known    bool      // it has been there for long enough to be told of
	untold   bool      // it closed, which is to be told unless it is back in time
	locked   time.Time // until then it is left alone
}

// A server whose owner became known only a while after it was back has not ended.
func TestJudgeSeesThatAServerIsBack(t *testing.T) {
	was, is := server(3000, 1), server(3000, 2)
	unseen := is
	unseen.Owner = owner.Process{}
	j := newJudge()
	j.observe([]watcher.Event{{Kind: watcher.Closed, Listener: was}}, []watcher.Server{{Listener: was}}, nil, false, noon)
	j.observe([]watcher.Event{{Kind: watcher.Opened, Listener: unseen}}, nil, []watcher.Server{{Listener: unseen}}, false, noon.Add(time.Second))
	j.ripen([]watcher.Server{{Listener: unseen}}, noon.Add(time.Second+settled))
	if news := j.ripen([]watcher.Server{{Listener: is}}, noon.Add(watcher.RestartGrace)); len(news) > 0 {
		t.Errorf("got %+v", news)
	}
}

// What the person ended, or whose owner became known, closes without a word to the judge.
func TestJudgeForgetsWhatWasExposed(t *testing.T) {
	j := newJudge()
	for i := range int32(1000) {
		l := server(3000, 1+i, "0.0.0.0")
		j.observe([]watcher.Event{{Kind: watcher.Exposed, Listener: l}}, nil, []watcher.Server{{Listener: l}}, false, noon)
	}
	if len(j.exposed) > 1 {
		t.Errorf("%d are remembered, of one that is there", len(j.exposed))
	}
}

// What opened right before a sleep did not open in it.
func TestJudgeTellsOfWhatOpenedBeforeASleep(t *testing.T) {
	servers := []watcher.Server{{Listener: server(3000, 1)}}
	j := newJudge()
	j.observe([]watcher.Event{{Kind: watcher.Opened, Listener: servers[0].Listener}}, nil, servers, false, noon)
	j.observe(nil, servers, servers, true, noon.Add(time.Second))
	j.observe([]watcher.Event{{Kind: watcher.Opened, Listener: server(4000, 2)}}, nil, servers, true, noon.Add(time.Second))
	if news := j.ripen(servers, noon.Add(time.Second+settled)); len(news) != 1 || news[0].on.Port != 3000 {
		t.Errorf("got %+v", news)
	}
}

func (s *played) program() program { return s.programs[s.which] }

// do plays one step: the low bits say with which server, the next what to do, the high ones how long to wait before.
func (p *player) do(step byte) {
	p.wait([]time.Duration{0, 800 * time.Millisecond, 2500 * time.Millisecond, 7300 * time.Millisecond}[step>>6])
	s := &p.servers[step&3]
	now := time.Now()
	near := func(limit time.Duration) bool { return (now.Sub(s.since) - limit).Abs() < 400*time.Millisecond }
	if now.Before(s.locked) || s.up && near(settled) || !s.up && near(watcher.RestartGrace) {
		return // nobody can tell what is right
	}
	s.known = s.known || s.up && now.Sub(s.since) > settled
	if s.untold && now.Sub(s.since) > watcher.RestartGrace {
		p.ends, s.untold, s.known = p.ends+1, false, false
	}
	if !s.up && now.Sub(s.since) > watcher.RestartGrace {
		s.known = false
	}
	p.last = now
	switch act := step >> 2 & 15; {
	case !s.up:
		up(s.program())(p.evening)
		s.up, s.since, s.untold = true, now, false
	case act < 6, act < 12 && !s.known: // it ends
		down(status(int(act)), s.program())(p.evening)
		s.up, s.since, s.untold = false, now, s.known
	case act < 8: // it is interrupted, of which the menu tells
		down(signal("SIGINT"), s.program())(p.evening)
		s.up, s.since = false, now
	case act < 10: // another one takes the port
		down(status(int(act)), s.program())(p.evening)
		s.which = 1 - s.which
		up(s.program())(p.evening)
		s.since, s.known, s.locked = now, false, now.Add(3*time.Second)
		p.ends++
	case act < 12:
		p.stop(s)
	default:
		binds(s.program(), []string{"127.0.0.1", "0.0.0.0"}[act&1])(p.evening)
	}
	synctest.Wait()
	p.loop.look()
	p.wait(50 * time.Millisecond) // in which the watcher has seen it
}

// stop clicks Stop, where there is such a row.
func (p *player) stop(s *played) {
	if row := p.menu.root.find(fmt.Sprint(s.program()[0].Port), "Stop"); row != nil && !row.disabled {
		p.clickItem(row)
		s.up, s.since = false, time.Now()
	}
}

var (
	gathered = regexp.MustCompile(`(\d+) (?:ports? )?(closed|taken over)`)
	outcomes = regexp.MustCompile(`^Port \d+ is free|^\d+ is back`)
)

// endsIn returns how many ends a notice tells of.
func endsIn(n notice) int {
	if strings.Contains(n.title, ") stopped") || strings.Contains(n.title, ") crashed") || strings.Contains(n.title, "(was ") {
		return 1
	}
	sum := 0
	for _, m := range gathered.FindAllStringSubmatch(n.title, -1) {
		count, _ := strconv.Atoi(m[1])
		sum += count
	}
	return sum
}

func FuzzJudge(f *testing.F) {
	f.Add([]byte{0, 0xc0, 0xc0, 0xc0})
	f.Add([]byte("the quick brown fox jumps over the lazy dog"))
	f.Add([]byte{0xe0, 0xe4, 0xe8, 0xec, 0xe1, 0xe5, 0x21, 0x61, 0xa1, 0xff, 0xb0, 0x71})
	f.Fuzz(playAtRandom)
}

func playAtRandom(t *testing.T, steps []byte) {
	perform(t, func(s *stage) {
		p := &player{evening: newEvening(s, []program{db})}
		for i := range p.servers {
			port := uint16(3000 + 1000*i)
			p.servers[i].programs = [2]program{served(fmt.Sprint("shop", i), "Vite", port), served(strings.Repeat("admin", 10), "Flask", port)}
		}
		for _, step := range steps[:min(len(steps), 100)] {
			p.do(step)
		}
		p.wait(time.Minute)
		for _, s := range p.servers {
			if s.untold {
				p.ends++
			}
		}
		p.check()
	})
}

// check holds what was told against what must hold of all that is told.
func (p *player) check() {
	ends, loops := 0, false
	var before time.Time // the notice before
	for _, n := range p.told {
		if utf8.RuneCountInString(n.title) > maxTitle || utf8.RuneCountInString(n.body) > maxTitle {
			p.t.Errorf("too long: %q / %q", n.title, n.body)
		}
		if n.at.Sub(p.last) > watcher.RestartGrace+together+2*apart {
			p.t.Errorf("long after anything happened: %q", n.title)
		}
		if outcomes.MatchString(n.title) {
			continue
		}
		if !before.IsZero() && n.at.Sub(before) < apart {
			p.t.Errorf("%v after the one before: %q", n.at.Sub(before), n.title)
		}
		before, ends = n.at, ends+endsIn(n.notice)
		loops = loops || strings.Contains(n.title, "keeps restarting") || strings.Contains(n.title, "restarting again")
	}
	if ends > p.ends || ends < p.ends && !loops { // of what crashes all the time no more is told
		p.t.Errorf("%d of %d ends are told:\n%s", ends, p.ends, strings.Join(p.notices(), "\n"))
	}
}

// What a process did after it had closed its port is told as the reason, and a Ctrl-C is not told at all.
func TestJudgeExplains(t *testing.T) {
	l := server(3000, 1)
	s := watcher.Server{Listener: l}
	for _, c := range []struct {
		exit  owner.Exit
		want  string
		quiet bool
	}{
		{owner.Exit{}, "still running, no longer listening", false},
		{owner.Exit{How: owner.Exited, Status: 3}, "exited with status 3", false},
		{owner.Exit{How: owner.Killed, Signal: "SIGINT"}, "killed by SIGINT", true},
	} {
		j := newJudge()
		j.observe([]watcher.Event{{Kind: watcher.Closed, Listener: l, Reason: watcher.Reason{Cause: watcher.OwnerGoesOn}}}, []watcher.Server{s}, nil, false, noon)
		if c.exit != (owner.Exit{}) {
			j.explain(map[owner.ID]owner.Exit{l.Owner.ID(): c.exit})
		}
		news := j.ripen(nil, noon.Add(watcher.RestartGrace))
		if len(news) != 1 || news[0].reason.String() != c.want || news[0].reason.Interrupted() != c.quiet {
			t.Errorf("%v: got %+v", c.exit, news)
		}
	}
}

// A supervisor that ended together with what it watched does not wait.
func TestJudgeForgetsASupervisor(t *testing.T) {
	l := server(3000, 1)
	l.Facts.Supervisor = owner.Supervisor{ID: owner.ID{PID: 9}, Name: "nodemon"}
	j := newJudge()
	j.gone = func(s owner.Supervisor) bool { return s.PID == 9 }
	reason := watcher.Reason{Cause: watcher.OwnerEnded, Supervisor: "nodemon"}
	j.observe([]watcher.Event{{Kind: watcher.Closed, Listener: l, Reason: reason}}, []watcher.Server{{Listener: l}}, nil, false, noon)
	if news := j.ripen(nil, noon.Add(watcher.RestartGrace)); len(news) != 1 || news[0].reason.Supervisor != "" {
		t.Errorf("got %+v", news)
	}
}

// On a busy machine it takes a while to find out whose a new listener is. Then it is told of late rather than never.
func TestJudgeWaitsForTheOwner(t *testing.T) {
	unknown, known := server(3000, 1), server(3000, 1)
	unknown.Owner = owner.Process{}
	foreign := unknown
	foreign.Owner.Foreign = true
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, c := range []struct {
		name  string
		opens watcher.Listener
		found time.Duration // when it is known; 0 if it never is
		told  time.Duration
	}{
		{"known at once", known, 0, settled},
		{"known in time", unknown, settled / 2, settled},
		{"known late", unknown, 4 * time.Second, 4 * time.Second},
		{"never known", unknown, 0, sought},
		{"known to be another user's", foreign, 0, settled},
	} {
		j := newJudge()
		j.observe([]watcher.Event{{Kind: watcher.Opened, Listener: c.opens}}, nil, nil, false, noon)
		servers := []watcher.Server{{Listener: c.opens}}
		told := time.Duration(-1)
		for now := time.Duration(0); now <= time.Minute && told < 0; now += 250 * time.Millisecond {
			if c.found > 0 && now >= c.found {
				servers[0].Listener = known
			}
			if next, ok := j.next(); now > 0 && ok && next.Before(at(now-250*time.Millisecond)) {
				t.Fatalf("%s: after %v there was something to do at %v", c.name, now, next.Sub(noon))
			}
			if news := j.ripen(servers, at(now)); len(news) == 1 && news[0].on.Owner == servers[0].Owner {
				told = now
			}
		}
		if told != c.told {
			t.Errorf("%s: decided after %v, want %v", c.name, told, c.told)
		}
	}
}
