package owner

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxPins bounds how many processes are pinned at once; each takes a file descriptor.
const maxPins = 512

// Pins hold on to processes by one pidfd each (pidfd_open(2)), which tells the instant at which the process ends. All methods
// belong to one goroutine.
type Pins struct {
	held  map[int32]pin
	epoll *os.File
	fd    int // of epoll, whose own Fd method would make it block
	// Ended receives the PID of each pinned process that ends. Somebody must receive.
	Ended chan int32
	// Wake receives a value when there is something new in Ended.
	Wake chan struct{}
	done chan struct{}
}

type pin struct {
	fd    int
	start uint64
}

// NewPins returns an empty set. The error wraps errors.ErrUnsupported before Linux 5.3.
func NewPins() (*Pins, error) {
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

// Hold pins a process. It reports whether the process is pinned now: it is not if it has ended, or if there is no room.
func (p *Pins) Hold(q Process) bool {
	if old, ok := p.held[q.PID]; ok {
		if old.start == q.Start {
			return true
		}
		p.drop(q.PID)
	}
	if len(p.held) >= maxPins {
		return false
	}
	fd, err := unix.PidfdOpen(int(q.PID), 0)
	if err != nil {
		return false
	}
	// The PID may have become another process's just before it was pinned.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: q.PID}
	if q.Gone() || unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &event) != nil {
		unix.Close(fd)
		return false
	}
	p.held[q.PID] = pin{fd, q.Start}
	return true
}

// Keep lets go of all pinned processes that are not among pids, which is sorted.
func (p *Pins) Keep(pids []int32) {
	for pid := range p.held {
		if _, ok := slices.BinarySearch(pids, pid); !ok {
			p.drop(pid)
		}
	}
}

func (p *Pins) drop(pid int32) {
	unix.Close(p.held[pid].fd) // which also takes it out of the epoll set
	delete(p.held, pid)
}

// Close lets go of all processes.
func (p *Pins) Close() {
	p.Keep(nil)
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
			p.wake() // so that somebody makes room
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
