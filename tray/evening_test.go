package tray

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// An evening is a stage with a real Watcher that scans a scripted computer.
type evening struct {
	*stage
	began time.Time // when the script began
	told  []told
	host  computer
}

// A told is a notice and its time.
type told struct {
	notice
	at time.Time
}

// A computer is the source of the scans.
type computer struct {
	mu      sync.Mutex
	runs    map[server.Key][]server.Listener // the listeners of its processes and containers, by key
	pids    map[server.Key]owner.ID          // the latest process of each
	exits   map[owner.ID]owner.Exit
	broken  error         // the error of scans
	clock   time.Duration // the error of the wall clock
	wakes   time.Time     // the end of its sleep
	started int32         // number of processes so far
}

// A program is a template for the listeners of one server. The start fills in the owner and its start time.
type program []server.Listener

// key returns the key of a program's server, even before the start.
func (p program) key() server.Key {
	l := p[0]
	l.Owner.PID = 1
	return l.Key()
}

// warmUp is how long the computer runs before a script begins. The watcher slows down within it.
const warmUp = 90 * time.Second

// An act is one step of a script, with its time in seconds.
type act struct {
	after float64
	do    func(*evening)
}

// play plays a script to its end and waits another minute. It returns the notices.
func play(t *testing.T, baseline []program, script []act) (got []string) {
	perform(t, func(s *stage) {
		e := newEvening(s, baseline)
		for _, a := range script {
			s.wait(time.Until(e.began.Add(time.Duration(a.after * float64(time.Second)))))
			a.do(e)
			synctest.Wait()
		}
		s.wait(time.Minute)
		got = e.notices()
	})
	return got
}

// newEvening runs a computer with these programs until its script can begin.
func newEvening(s *stage, baseline []program) *evening {
	e := &evening{stage: s, host: computer{runs: map[server.Key][]server.Listener{},
		pids: map[server.Key]owner.ID{}, exits: map[owner.ID]owner.Exit{}, started: 5_000_000}}
	s.loop.do.say = func(n notice) {
		s.mu.Lock()
		defer s.mu.Unlock()
		e.told = append(e.told, told{n, time.Now()})
	}
	s.end = func(l server.Listener, _ bool) owner.Result {
		e.host.stop(l, owner.Exit{How: owner.Killed, Signal: "SIGTERM"})
		s.loop.scanNow()
		return owner.Result{Outcome: owner.Freed, Ended: true}
	}
	for _, p := range baseline {
		e.host.start(p)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w := watcher.Watcher{Scan: e.host.scan,
			Clock: func() time.Duration { return time.Duration(time.Now().UnixNano()) }, Wake: s.loop.wake}
		w.Run(night{ctx, &e.host}, s.loop.updates)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
		time.Sleep(time.Second) // for the end of a running scan
	})
	s.wait(warmUp)
	e.began = time.Now()
	return e
}

// A night is a context that blocks its readers while the computer sleeps.
type night struct {
	context.Context
	host *computer
}

func (n night) Done() <-chan struct{} {
	n.host.mu.Lock()
	left := time.Until(n.host.wakes)
	n.host.mu.Unlock()
	time.Sleep(left)
	return n.Context.Done()
}

func (c *computer) scan(context.Context) (watcher.Snapshot, error) {
	time.Sleep(1013 * time.Microsecond) // so that no scan falls on the time of an act
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := watcher.Snapshot{Time: time.Now().Add(c.clock), Source: "script", Exits: map[owner.ID]owner.Exit{}}
	for _, listeners := range c.runs {
		seen.Listeners = append(seen.Listeners, listeners...)
	}
	slices.SortFunc(seen.Listeners, func(a, b server.Listener) int {
		return (int(a.Port)-int(b.Port))<<32 + int(a.Owner.PID-b.Owner.PID)
	})
	for id, exit := range c.exits {
		seen.Exits[id] = exit
	}
	return seen, c.broken
}

// start runs a program as a process of its own.
func (c *computer) start(p program) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started++
	mine := slices.Clone(p)
	for i := range mine {
		if by := &mine[i].Owner; by.PID == 0 && !by.Foreign { // no system has such PIDs
			by.PID, by.Start, by.Since = c.started, uint64(c.started), time.Now()
		}
		if mine[i].Container.ID != "" {
			mine[i].Container.ID += fmt.Sprint(c.started)
		}
	}
	c.runs[p.key()], c.pids[p.key()] = mine, mine[0].Owner.ID()
}

// stop ends the process of a listener. With an unknown exit it only closes the ports, and the process lives on.
func (c *computer) stop(l server.Listener, how owner.Exit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, listeners := range c.runs {
		if key != (program{l}).key() {
			continue
		}
		delete(c.runs, key)
		if how.How != owner.Unknown {
			c.exits[listeners[0].Owner.ID()] = how
		}
	}
}

// notices returns the notices, each with its time in seconds since the script began.
func (e *evening) notices() (lines []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.told {
		line := fmt.Sprintf("%.1f %s / %s", n.at.Sub(e.began).Seconds(), n.title, n.body)
		self := fmt.Sprintf("nodemon (PID %d)", os.Getpid())
		lines = append(lines, strings.Replace(line, self, "nodemon (PID self)", 1))
	}
	return lines
}

// Programs.

func served(name, tool string, port uint16) program {
	l := server.Listener{Port: port, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	l.Owner = owner.Process{Name: "node", Exe: "/usr/bin/node", Dir: "/srv/" + name}
	l.Facts = facts.Facts{Project: project.Project{Name: name, Dir: "/srv/" + name},
		Tool: facts.Tool{Name: tool, Kind: facts.Server}}
	return program{l}
}

// many adds further ports to a program.
func (p program) many(ports ...uint16) program {
	all := slices.Clone(p)
	for _, port := range ports {
		l := p[0]
		l.Port = port
		all = append(all, l)
	}
	return all
}

// workers returns n forked processes of a master. Each has its own socket on one port.
func workers(n int, p program) (all program) {
	for i := range n {
		l := p[0]
		l.Owner.User, l.Owner.PID, l.Owner.Start = "1000", 6_000_001+int32(i), uint64(i+1)
		l.Facts.Forked, l.Facts.Ancestors[0] = true, owner.ID{PID: 6_000_000, Start: 1}
		all = append(all, l)
	}
	return all
}

// script returns a program of a project without a known tool.
func script(project, file string, port uint16) program {
	p := served(project, "", port)
	p[0].Facts.Program = file
	return p
}

// but returns a copy of p with changed listeners.
func (p program) but(change func(*server.Listener)) program {
	changed := slices.Clone(p)
	for i := range changed {
		change(&changed[i])
	}
	return changed
}

func service(name string, port uint16) program {
	return served("", "", port).but(func(l *server.Listener) {
		l.Owner, l.Facts = owner.Process{Name: "docker-proxy"}, facts.Facts{}
		l.Container = engine.Container{ID: name, Name: "shop-" + name + "-1", Image: name,
			Project: "shop", Service: name}
	})
}

func wide(l *server.Listener) { l.Addrs = []netip.Addr{netip.IPv4Unspecified()} }

func v6(l *server.Listener) { l.Addrs = []netip.Addr{netip.IPv6Loopback()} }

var (
	shop     = served("shop", "Vite", 5173)
	shop5174 = served("shop", "Vite", 5174)
	admin    = served("admin", "Next.js", 5173)
	oldBlog  = served("old-blog", "Hugo", 5173)
	api      = served("api", "", 3000)
	db       = served("", "PostgreSQL", 5432)
	compose  = []program{service("web", 8080), service("api", 8081), service("db", 8082), service("cache", 8083),
		service("mail", 8084), service("queue", 8085)}
	editor   = served("", "", 50123).but(func(l *server.Listener) { l.Facts = facts.Facts{App: "VS Code"} })
	stranger = served("", "", 631).but(func(l *server.Listener) {
		l.Owner, l.Facts = owner.Process{Foreign: true}, facts.Facts{}
	})
)

// supervised returns the program under a nodemon with the PID of this very process, so the supervisor stays alive.
func supervised(p program) program {
	self, _ := owner.Identify(int32(os.Getpid()))
	return p.but(func(l *server.Listener) { l.Facts.Supervisor = facts.Supervisor{ID: self.ID(), Name: "nodemon"} })
}

// lasting returns the program with the PID of this very process: it lives on after its port closes.
func lasting(p program) program {
	self, _ := owner.Identify(int32(os.Getpid()))
	return p.but(func(l *server.Listener) {
		l.Owner.PID, l.Owner.Start, l.Owner.Since = self.PID, self.Start, time.Time{}
	})
}

// numbered returns n programs on neighbouring ports.
func numbered(n int, first program) (all []program) {
	for i := range n {
		all = append(all, first.but(func(l *server.Listener) { l.Port += uint16(i) }))
	}
	return all
}

// Acts.

func up(programs ...program) func(*evening) {
	return func(e *evening) {
		for _, p := range programs {
			e.host.start(p)
		}
	}
}

// down ends processes and wakes the watcher at once, as on Linux.
func down(how owner.Exit, programs ...program) func(*evening) {
	return func(e *evening) {
		for _, p := range programs {
			e.host.stop(p[0], how)
		}
		e.loop.scanNow()
	}
}

func status(n int) owner.Exit { return owner.Exit{How: owner.Exited, Status: n} }

func signal(name string) owner.Exit { return owner.Exit{How: owner.Killed, Signal: name} }

// closes makes programs close their ports without a wake-up.
func closes(programs ...program) func(*evening) {
	return func(e *evening) {
		for _, p := range programs {
			e.host.stop(p[0], owner.Exit{})
		}
	}
}

// drops makes a program close these ports in order, apart seconds after each other, and then end.
func drops(p program, apart float64, how owner.Exit, ports ...uint16) (all []act) {
	for i, port := range ports {
		all = append(all, act{apart * float64(i), turns(func(c *computer) {
			c.runs[p.key()] = slices.DeleteFunc(slices.Clone(c.runs[p.key()]),
				func(l server.Listener) bool { return l.Port == port })
		})})
	}
	return append(all, act{apart * float64(len(ports)), func(e *evening) {
		e.host.mu.Lock()
		e.host.exits[e.host.pids[p.key()]] = how
		e.host.mu.Unlock()
		e.loop.scanNow()
	}})
}

// adds makes a program listen on further ports.
func adds(p program, ports ...uint16) func(*evening) {
	return turns(func(c *computer) {
		mine := c.runs[p.key()]
		c.runs[p.key()] = program(mine).many(ports...)
	})
}

// forks moves a program's sockets to another process and ends the first one, as daemons do.
func forks(p program) func(*evening) {
	return turns(func(c *computer) {
		mine := slices.Clone(c.runs[p.key()])
		for i := range mine {
			mine[i].Owner.PID, mine[i].Owner.Start = mine[i].Owner.PID+1000, mine[i].Owner.Start+1000
		}
		c.runs[p.key()] = mine
	})
}

// binds moves a program to another address.
func binds(p program, addr string) func(*evening) {
	return func(e *evening) {
		e.host.mu.Lock()
		defer e.host.mu.Unlock()
		mine := slices.Clone(e.host.runs[p.key()])
		mine[0].Addrs = []netip.Addr{netip.MustParseAddr(addr)}
		e.host.runs[p.key()] = mine
	}
}

// turns changes the computer.
func turns(change func(*computer)) func(*evening) {
	return func(e *evening) {
		e.host.mu.Lock()
		defer e.host.mu.Unlock()
		change(&e.host)
	}
}

// sleeps makes the computer sleep between two scans.
func sleeps(d time.Duration) func(*evening) {
	return func(e *evening) {
		turns(func(c *computer) { c.wakes = time.Now().Add(d) })(e)
		e.loop.scanNow()
	}
}

func clicks(path ...string) func(*evening) {
	return func(e *evening) {
		e.t.Helper()
		e.stage.click(path...)
	}
}

func opensMenu(e *evening)  { e.loop.signs <- menuOpened }
func closesMenu(e *evening) { e.loop.signs <- menuClosed }

// pausedAsOf moves the end of a pause as if the wall clock jumped by d. The clock of a test cannot jump.
func pausedAsOf(d time.Duration) func(*evening) {
	return func(e *evening) {
		e.loop.model.paused = e.loop.model.paused.Add(-d)
		e.loop.hosts <- true // the loop runs only after this change of its model
	}
}

// stopsWith makes every Stop return that result and do nothing else.
func stopsWith(r owner.Result) func(*evening) {
	return func(e *evening) { e.end = func(server.Listener, bool) owner.Result { return r } }
}

// shows expects an entry of the menu. The path omits a time at the start of its label.
func shows(path ...string) func(*evening) {
	return func(e *evening) {
		e.t.Helper()
		if !e.finds(path...) {
			e.t.Errorf("after %v, no %q in the menu:\n%s", time.Since(e.began), path, e.menu.root.text())
		}
	}
}

func hides(path ...string) func(*evening) {
	return func(e *evening) {
		e.t.Helper()
		if e.finds(path...) {
			e.t.Errorf("after %v, %q is in the menu:\n%s", time.Since(e.began), path, e.menu.root.text())
		}
	}
}

// finds looks for an entry at a path of label prefixes, with and without one of the past minutes in front.
func (e *evening) finds(path ...string) bool {
	for ago := time.Duration(0); ago <= time.Since(e.began)+warmUp; ago += time.Minute {
		stamped := slices.Clone(path)
		stamped[len(path)-1] = time.Now().Add(-ago).Format("15:04  ") + path[len(path)-1]
		if e.menu.root.find(stamped...) != nil {
			return true
		}
	}
	return e.menu.root.find(path...) != nil
}

func attention(want bool) func(*evening) {
	return func(e *evening) {
		e.t.Helper()
		if got := e.loop.model.attention; got != want {
			e.t.Errorf("after %v, attention is %v", time.Since(e.began), got)
		}
		e.loop.hosts <- true // the loop runs only after this read of its model
	}
}

// also joins acts at the same time.
func also(acts ...func(*evening)) func(*evening) {
	return func(e *evening) {
		for _, do := range acts {
			do(e)
			synctest.Wait()
		}
	}
}

// again repeats a script n times, every so many seconds.
func again(n int, every float64, script ...act) (all []act) {
	for i := range n {
		for _, a := range script {
			all = append(all, act{a.after + float64(i)*every, a.do})
		}
	}
	return all
}

// eachOf plays a script for each program, starting one every so many seconds.
func eachOf(programs []program, every float64, script func(program) []act) (all []act) {
	for i, p := range programs {
		for _, a := range script(p) {
			all = append(all, act{a.after + float64(i)*every, a.do})
		}
	}
	slices.SortStableFunc(all, func(a, b act) int { return int(1000 * (a.after - b.after)) })
	return all
}

var errScan = fmt.Errorf("list TCP sockets: %w", errors.New("no memory"))

func TestEvening(t *testing.T) {
	usual := []program{shop, api, db}
	for _, c := range situations() {
		t.Run(c.name, func(t *testing.T) {
			got := play(t, append(slices.Clone(usual), c.running...), c.script)
			if !slices.Equal(got, c.want) {
				t.Errorf("told\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
			}
		})
	}
}
