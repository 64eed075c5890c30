package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

const (
	recheckWithin = 10 * time.Second // each socket's owner is checked again within this time
	programRounds = 3                // a check for execve happens once in so many rounds
	retryAtFirst  = 2 * time.Second  // pause before the next search for a missing owner; it doubles
	retryAtMost   = 5 * time.Minute  // longest pause; then the search includes processes that seem unchanged
	attempts      = 4                // attempts to read an interrupted or incomplete list
)

// A fastScanner is the scan for Linux. Each tick asks the kernel for the listening sockets and compares them with the
// previous tick. It looks for a process only when a socket is new. It belongs to one goroutine.
//
// Remembered facts can become wrong without a change in the list of sockets: a socket can be passed to another process,
// and its owner can execute another program. So each tick checks a few of the facts, and all of them within
// recheckWithin. When a process ends, its facts are checked at once.
type fastScanner struct {
	how         listing
	fs          *procfs
	search      search
	pins        *owner.Pins // nil without pidfds
	rows        []row
	tick        uint64
	socks       map[rowKey]*sock
	order       []*sock // for the checks in turn
	turn        int
	round       int
	last        time.Time
	owners      map[int32]*program
	descriptors map[int32]map[uint32]int   // socket inode to descriptor, by PID, during a search
	parents     map[int32]processAndParent // by PID, during a search
	exits       exits
	found       Snapshot
	boot        func() (time.Time, bool) // see bootTime
	booted      time.Time                // the latest result of boot

	everywhere bool // also list sockets that are not reachable over loopback
}

type listing struct {
	name   string
	list   func(rows []row) (result []row, parted bool, err error)
	stop   func()
	detour error // why the quickest way does not work; nil for the quickest
}

// A sock is one listening socket with its known facts.
type sock struct {
	row
	tick  uint64   // of the last list with this socket
	owner *program // nil if unknown
	fd    int      // the owner's descriptor of this socket
	// partners hold the same socket under the same descriptor. Their common parent with the owner has ended.
	partners []*program
	// For an unknown owner: the time of the next search, the pause before it, and the last search of all processes.
	retry  time.Time
	pause  time.Duration
	walked time.Time
}

// A program is an owner with its executable, to detect when the process executes another program.
type program struct {
	owner.Process
	exe    []byte
	pinned bool // the pins report its end
}

// newFastScanner returns a scanner with the quickest listing that works here. The error says why none works.
func newFastScanner() (*fastScanner, error) {
	s := &fastScanner{fs: newProcfs(), socks: map[rowKey]*sock{}, owners: map[int32]*program{}, boot: bootTime}
	s.search.fs = s.fs
	how, err := bestListing()
	if err != nil {
		return nil, err
	}
	s.how = how
	if s.pins, err = owner.NewPins(); err != nil {
		s.pins = nil // only the regular checks remain
	}
	return s, nil
}

// bestListing tries sock_diag and then /proc/net.
func bestListing() (listing, error) {
	d, err := openDiag()
	if err == nil {
		if _, _, err = d.list(nil); err == nil || !refused(err) {
			return listing{name: "sock_diag", list: d.list, stop: d.close}, nil
		}
		d.close()
	}
	if _, _, second := listProc(nil); second != nil {
		return listing{}, fmt.Errorf("%w, and %w", err, second)
	}
	return listing{"/proc/net/tcp", listProc, func() {}, err}, nil
}

func (s *fastScanner) close() {
	s.how.stop()
	if s.pins != nil {
		s.pins.Close()
	}
}

// wake returns a channel that receives a value when an owner has ended, or nil without pins.
func (s *fastScanner) wake() <-chan struct{} {
	if s.pins == nil {
		return nil
	}
	return s.pins.Wake
}

// scan is one tick. When nothing changed, it returns the same listeners as the tick before, in the same memory.
func (s *fastScanner) scan(ctx context.Context) (Snapshot, error) {
	now := time.Now()
	changed, err := s.read()
	if err != nil {
		return Snapshot{}, err
	}
	changed = s.stepped() || changed
	changed = s.check(ctx, now) || changed
	if s.attribute(ctx, now) || changed {
		s.found.Listeners = s.listeners()
		s.dropFormerOwners(now)
	}
	waiting := s.reap(now)
	s.last = now
	s.found.Time = time.Now()
	s.found.Source = s.how.name
	s.found.Searching = s.search.rest != nil || waiting
	s.found.Exits = s.exits.known
	return s.found, nil
}

// read lists the sockets and updates socks. A list in several parts can lack a socket. If an owner still holds it, read
// tries again.
func (s *fastScanner) read() (changed bool, err error) {
	for try := 1; ; try++ {
		rows, parted, err := s.how.list(s.rows[:0])
		if err != nil {
			if try < attempts {
				if s.reopen() == nil {
					continue
				}
			}
			return false, err
		}
		s.rows = rows
		s.tick++
		seen := 0
		for _, r := range rows {
			key := r.key()
			so := s.socks[key]
			switch {
			case so == nil:
				so = &sock{row: r}
				s.socks[key] = so
				s.order = append(s.order, so)
				changed = true
			case so.row != r: // it stopped listening and now listens on another port
				so.row = r
				changed = true
			}
			if so.tick != s.tick {
				so.tick = s.tick
				seen++
			}
		}
		if seen == len(s.socks) {
			return changed, nil
		}
		if parted && try < attempts && s.missedOne() {
			continue
		}
		s.order = slices.DeleteFunc(s.order, func(so *sock) bool {
			if so.tick == s.tick {
				return false
			}
			if so.owner != nil { // the owner may reopen it, with the same number of files
				s.search.remember(so.owner.PID)
			}
			delete(s.socks, so.key())
			return true
		})
		return true, nil
	}
}

// reopen replaces a sock_diag socket after a failed request. The way of listing changes only if sock_diag is refused.
func (s *fastScanner) reopen() error {
	s.how.stop()
	how, err := bestListing()
	if err == nil {
		s.how = how
	}
	return err
}

// missedOne reports whether the owner of a socket that the last list lacks still holds it.
func (s *fastScanner) missedOne() bool {
	return slices.ContainsFunc(s.order, func(so *sock) bool { return so.tick != s.tick && s.holds(so) })
}

// holds reports whether the known owner of a socket still holds it.
func (s *fastScanner) holds(so *sock) bool {
	if so.owner == nil {
		return false
	}
	inode, ok := s.fs.socketAt(so.owner.PID, so.fd)
	return ok && inode == so.inode
}

// check verifies the owners that ended, and a few others in turn. It forgets wrong facts, and attribute finds them
// again.
func (s *fastScanner) check(ctx context.Context, now time.Time) (changed bool) {
	for s.pins != nil {
		select {
		case pid := <-s.pins.Ended:
			if p := s.owners[pid]; p != nil && p.Gone() {
				s.forgetProgram(p)
				changed = true
			}
			continue
		default:
		}
		break
	}
	for range s.share(now) {
		if s.turn++; s.turn >= len(s.order) {
			s.turn = 0
			s.round++
		}
		switch so := s.order[s.turn]; {
		case so.owner == nil:
		case !s.holds(so), !so.owner.pinned && so.owner.Gone():
			so.forget()
			changed = true
		case slices.ContainsFunc(so.partners, func(p *program) bool {
			return p.Gone() || !s.holdsAt(p.PID, so.fd, so.inode)
		}):
			so.partners = s.partnersOf(ctx, so)
			changed = true
		case s.round%programRounds == 0 && s.replaced(so.owner):
			s.renew(ctx, so.owner)
			changed = true
		case !so.owner.pinned && s.pins != nil: // there may be room by now
			so.owner.pinned = s.pins.Hold(so.owner.Process)
		}
	}
	return changed
}

// share returns how many sockets to check in this tick, so that each is checked within recheckWithin.
func (s *fastScanner) share(now time.Time) int {
	n := len(s.order)
	if since := now.Sub(s.last); since < recheckWithin {
		return min(n, n*int(since/time.Millisecond)/int(recheckWithin/time.Millisecond)+1)
	}
	return n
}

// forgetProgram removes a process from its sockets, so that attribute looks for their owners again.
func (s *fastScanner) forgetProgram(p *program) {
	delete(s.owners, p.PID)
	for _, so := range s.order {
		if so.owner == p {
			so.forget()
		}
		so.partners = slices.DeleteFunc(so.partners, func(q *program) bool { return q == p })
	}
}

// stepped reports whether the clock was set. Then it adjusts the owners' start times, computed with the old clock.
func (s *fastScanner) stepped() bool {
	const least = 2 * time.Second // less is rounding, or a gradual correction of the clock
	booted, ok := s.boot()
	if !ok {
		return false
	}
	step := booted.Sub(s.booted)
	if s.booted.IsZero() || step.Abs() < least {
		if s.booted.IsZero() {
			s.booted = booted
		}
		return false
	}
	s.booted = booted
	for _, p := range s.owners {
		if !p.Since.IsZero() {
			p.Since = p.Since.Add(step)
		}
	}
	return len(s.owners) > 0
}

// renew reads the facts about a process again, and keeps its sockets.
func (s *fastScanner) renew(ctx context.Context, p *program) {
	delete(s.owners, p.PID)
	now := s.program(ctx, p.Process)
	if now == nil { // it has most likely just ended
		s.forgetProgram(p)
		return
	}
	for _, so := range s.order {
		if so.owner == p {
			so.owner = now
		}
		if i := slices.Index(so.partners, p); i >= 0 {
			so.partners[i] = now
		}
	}
}

// forget drops the owner of a socket, so that attribute looks for it at once.
func (so *sock) forget() {
	so.owner, so.partners, so.retry, so.pause, so.walked = nil, nil, time.Time{}, 0, time.Time{}
}

// replaced reports whether a process has become another program (execve(2)) since its facts were read.
func (s *fastScanner) replaced(p *program) bool {
	var buf [256]byte
	return !slices.Equal(s.fs.program(p.PID, buf[:]), p.exe)
}

// program returns a process with its facts, read once, and pins it. It returns nil if it ended or cannot be read now.
func (s *fastScanner) program(ctx context.Context, id owner.Process) *program {
	if p := s.owners[id.PID]; p != nil && p.Is(id) {
		return p
	}
	exe := s.fs.program(id.PID, nil)
	facts, err := owner.Read(ctx, id.PID)
	if errors.Is(err, os.ErrProcessDone) || owner.OutOfFiles(err) || err == nil && !facts.Is(id) {
		return nil
	}
	if err != nil {
		facts = id
	}
	p := &program{facts, exe, s.pins != nil && s.pins.Hold(facts)}
	s.owners[id.PID] = p
	return p
}

// A claim says that a process holds a socket. The process is nil if unknown.
type claim struct {
	so *sock
	by *program
}

// compare orders claims like their listeners. Claims of one listener are equal.
func (c claim) compare(d claim) int {
	var p, q owner.ID
	if c.by != nil {
		p = c.by.ID()
	}
	if d.by != nil {
		q = d.by.ID()
	}
	return cmp.Or(cmp.Compare(c.so.port, d.so.port), cmp.Compare(p.PID, q.PID), cmp.Compare(p.Start, q.Start))
}

// process returns the known facts about the process. A process of the user me is not foreign.
func (c claim) process(me uint32) owner.Process {
	if c.by != nil {
		return c.by.Process
	}
	return owner.Process{Foreign: c.so.uid != me, User: strconv.FormatUint(uint64(c.so.uid), 10)}
}

// listeners groups the sockets by port and owner. It sorts claims and not the listeners, because those are large.
func (s *fastScanner) listeners() []server.Listener {
	claims := make([]claim, 0, len(s.order))
	for _, so := range s.order {
		claims = append(claims, claim{so, so.owner})
		for _, partner := range so.partners {
			claims = append(claims, claim{so, partner})
		}
	}
	slices.SortFunc(claims, claim.compare)
	me := uint32(os.Geteuid())
	list := make([]server.Listener, 0, len(claims))
	addrs := make([]netip.Addr, 0, len(claims)) // of all listeners, one after the other
	for i, c := range claims {
		p := c.process(me)
		if i == 0 || c.compare(claims[i-1]) != 0 {
			list = append(list, server.Listener{Port: c.so.port, Owner: p})
		}
		l := &list[len(list)-1]
		if l.Socket == 0 || c.so.cookie < l.Socket {
			l.Socket = c.so.cookie
		}
		addrs = append(addrs, c.so.addr)
		l.Addrs = addrs[len(addrs)-len(l.Addrs)-1 : len(addrs) : len(addrs)]
		// For an unknown owner, keep only the fields common to all sockets.
		l.Owner.Foreign = l.Owner.Foreign && p.Foreign
		if l.Owner.User != p.User {
			l.Owner.User = ""
		}
	}
	return reachable(list, s.everywhere)
}

// reap records how former owners ended, and reports whether more exit statuses are expected soon.
func (s *fastScanner) reap(now time.Time) (waiting bool) {
	var ended map[owner.ID]owner.Exit
	if s.pins != nil {
		ended, waiting = s.pins.Exits(now)
	}
	s.exits.add(ended, now)
	return waiting
}

// dropFormerOwners forgets the processes that own no socket any more.
func (s *fastScanner) dropFormerOwners(now time.Time) {
	var pids []int32
	for _, so := range s.order {
		if so.owner != nil {
			pids = append(pids, so.owner.PID)
		}
		for _, p := range so.partners {
			pids = append(pids, p.PID)
		}
	}
	slices.Sort(pids)
	pids = slices.Compact(pids)
	for pid := range s.owners {
		if _, ok := slices.BinarySearch(pids, pid); !ok {
			delete(s.owners, pid)
			s.search.remember(pid)
		}
	}
	if s.pins != nil {
		s.pins.Keep(pids, now)
	}
}
