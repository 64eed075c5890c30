package owner

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxPins is the maximum number of pinned processes. Each takes a file descriptor.
	maxPins = 512
	// linger is how long a loose process stays pinned, so that its end and exit status can still be seen.
	linger = 7 * time.Second
	// reaping is the limit for waiting until a parent reaps its child. Most do within a millisecond.
	reaping = 300 * time.Millisecond
)

// Pins hold one pidfd for each process (pidfd_open(2)). A pidfd reports the end of its process at once, and then how it
// ended. One goroutine must make all method calls.
type Pins struct {
	held  map[int32]pin
	loose int // number of loose pins in held
	epoll *os.File
	fd    int // of epoll; its own Fd method would make it block
	// Ended receives the PID of each pinned process that ends. Somebody must receive from it.
	Ended chan int32
	// Wake receives a value when Ended has something new.
	Wake chan struct{}
	done chan struct{}
}

type pin struct {
	fd    int
	start uint64
	since time.Time // when it became loose or, later, a zombie; zero while it is kept
	ended bool      // it is a zombie
}

func (p pin) loose() bool { return !p.since.IsZero() }

// NewPins returns an empty set. Before Linux 5.3 the error wraps errors.ErrUnsupported.
func NewPins() (*Pins, error) {
	if !ownView() {
		return nil, errors.New("pin a process: the PIDs that are seen are those of another container")
	}
	probe, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return nil, fmt.Errorf("pin a process: %w", err)
	}
	unix.Close(probe)
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("pin processes: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that Go's own poller waits for it
		unix.Close(fd)
		return nil, fmt.Errorf("pin processes: %w", err)
	}
	p := &Pins{
		held:  map[int32]pin{},
		epoll: os.NewFile(uintptr(fd), "pins"),
		fd:    fd,
		Ended: make(chan int32, 64),
		Wake:  make(chan struct{}, 1),
		done:  make(chan struct{}),
	}
	raw, err := p.epoll.SyscallConn()
	if err != nil {
		p.epoll.Close()
		return nil, fmt.Errorf("pin processes: %w", err)
	}
	go p.collect(raw)
	return p, nil
}

// Hold pins a process and reports whether it is pinned now. It is not if it has ended, or if there is no room.
func (p *Pins) Hold(q Process) bool {
	if old, ok := p.held[q.PID]; ok {
		if old.start == q.Start {
			if old.loose() {
				p.loose--
			}
			p.held[q.PID] = pin{fd: old.fd, start: old.start}
			return true
		}
		p.drop(q.PID)
	}
	if len(p.held) >= maxPins && !p.makeRoom() {
		return false
	}
	fd, err := unix.PidfdOpen(int(q.PID), 0)
	if err != nil {
		return false
	}
	if fd >= fdLimit() {
		unix.Close(fd)
		return false
	}
	// The PID may have passed to another process just before it was pinned.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: q.PID}
	if q.Gone() || unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event) != nil {
		unix.Close(fd)
		return false
	}
	p.held[q.PID] = pin{fd: fd, start: q.Start}
	return true
}

// fdLimit returns the lowest file descriptor that must not be a pin. Pins leave some descriptors free. Without any,
// porttray could not find owners, open servers or stop them.
func fdLimit() int {
	const spare = 64
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	most := int(min(limit.Cur, 1<<20))
	return most - min(spare, most/2)
}

// Keep makes all pinned processes loose except those among pids, which must be sorted. Exits releases loose ones.
func (p *Pins) Keep(pids []int32, now time.Time) {
	for pid, held := range p.held {
		if _, ok := slices.BinarySearch(pids, pid); !ok && !held.loose() {
			held.since = now
			p.held[pid] = held
			p.loose++
		}
	}
}

// Exits returns how loose processes ended, as far as it became known since the last call. waiting says that more will
// be known soon. Exits releases these processes, and those that have been loose for long. Otherwise it costs nothing.
func (p *Pins) Exits(now time.Time) (exits map[ID]Exit, waiting bool) {
	if p.loose == 0 {
		return nil, false
	}
	for pid, held := range p.held {
		if !held.loose() {
			continue
		}
		exit, stage := exitOf(held.fd)
		if stage == zombie && !held.ended {
			held.ended, held.since = true, now
			p.held[pid] = held
		}
		if exit.How != Unknown {
			if exits == nil {
				exits = map[ID]Exit{}
			}
			exits[ID{pid, held.start}] = exit
		}
		if stage == final || now.Sub(held.since) >= linger {
			p.drop(pid)
			continue
		}
		waiting = waiting || stage == zombie && now.Sub(held.since) < reaping
	}
	return exits, waiting
}

// makeRoom releases the process that has been loose for longest, if there is one.
func (p *Pins) makeRoom() bool {
	oldest, found := int32(0), false
	for pid, held := range p.held {
		if held.loose() && (!found || held.since.Before(p.held[oldest].since)) {
			oldest, found = pid, true
		}
	}
	if found {
		p.drop(oldest)
	}
	return found
}

func (p *Pins) drop(pid int32) {
	held := p.held[pid]
	unix.Close(held.fd) // this also removes it from the epoll set
	delete(p.held, pid)
	if held.loose() {
		p.loose--
	}
}

// Close releases all processes.
func (p *Pins) Close() {
	for pid := range p.held {
		p.drop(pid)
	}
	close(p.done)
	p.epoll.Close()
}

// collect waits for pinned processes to end, until the set is closed.
func (p *Pins) collect(raw syscall.RawConn) {
	var events [32]unix.EpollEvent
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events[:], 0)
			return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
		})
		if err != nil || n <= 0 {
			return // closed
		}
		for _, e := range events[:n] {
			select {
			case p.Ended <- e.Fd:
				continue
			default:
			}
			p.wake() // so that somebody receives
			select {
			case p.Ended <- e.Fd:
			case <-p.done:
				return
			}
		}
		p.wake()
	}
}

func (p *Pins) wake() {
	select {
	case p.Wake <- struct{}{}:
	default:
	}
}
