package watcher

import (
	"context"
	"slices"
	"time"

	"porttray/watcher/owner"
)

// A processAndParent is a process with its parent, if owner.Parent reports one.
type processAndParent struct {
	process, parent owner.Process
	hasParent       bool
}

// attribute looks for the missing owners of sockets that are due, and reports whether it found any.
func (s *fastScanner) attribute(ctx context.Context, now time.Time) (found bool) {
	var want map[uint32]*sock
	everywhere := false // a socket is due for a search of all processes
	for _, so := range s.order {
		if so.owner == nil && so.inode != 0 && !so.retry.After(now) {
			if want == nil {
				want = map[uint32]*sock{}
			}
			want[so.inode] = so
			everywhere = everywhere || now.Sub(so.walked) >= retryAtMost
		}
	}
	if len(want) == 0 {
		return false
	}
	s.descriptors, s.parents = map[int32]map[uint32]int{}, map[int32]processAndParent{}
	vain, err := s.search.run(want, everywhere, func(so *sock, pid int32, fd int) bool {
		p, fd := s.topmost(ctx, so, pid, fd)
		if p == nil {
			return false
		}
		so.owner, so.fd, so.pause = p, fd, 0
		so.partners = s.partnersOf(ctx, so)
		found = true
		return true
	})
	s.descriptors, s.parents = nil, nil
	if err != nil {
		for _, so := range want {
			so.retry = now.Add(retryAtFirst)
		}
	}
	for _, so := range vain {
		if s.search.everywhere {
			so.walked = now
		}
		so.pause = min(max(2*so.pause, retryAtFirst), retryAtMost)
		so.retry = now.Add(so.pause)
	}
	return found // the next tick retries the remaining sockets
}

// topmost climbs from a process to its ancestors while they hold the same socket. It returns the last one with its
// descriptor, or nil if the process has ended meanwhile.
func (s *fastScanner) topmost(ctx context.Context, so *sock, pid int32, fd int) (*program, int) {
	of, ok := s.parentOf(pid)
	if !ok {
		return nil, 0
	}
	for of.hasParent {
		parentFD, holds := s.find(of.parent.PID, so.inode, fd)
		above, ok := s.parentOf(of.parent.PID)
		if !holds || !ok || !above.process.Is(of.parent) {
			break
		}
		of, fd = above, parentFD
	}
	p := s.program(ctx, of.process)
	if p == nil || !s.holdsAt(p.PID, fd, so.inode) {
		return nil, 0
	}
	return p, fd
}

// partnersOf returns the processes that share a socket with its owner after their common parent has ended. The first
// process or a service manager is their parent now. They run the owner's program, and use the same descriptor.
func (s *fastScanner) partnersOf(ctx context.Context, so *sock) (partners []*program) {
	if _, child := owner.Parent(so.owner.Process); child || len(so.owner.exe) == 0 {
		return nil
	}
	var buf [256]byte
	for _, pid := range s.fs.siblings(so.owner.PID) {
		if pid == so.owner.PID || !slices.Equal(s.fs.program(pid, buf[:]), so.owner.exe) ||
			!s.holdsAt(pid, so.fd, so.inode) {
			continue
		}
		id, err := owner.Identify(pid)
		if p := s.program(ctx, id); err == nil && p != nil && s.holdsAt(pid, so.fd, so.inode) {
			partners = append(partners, p)
		}
	}
	return partners
}

// parentOf returns a process with its parent, read once per search. It returns false if the process has ended.
func (s *fastScanner) parentOf(pid int32) (processAndParent, bool) {
	if of, known := s.parents[pid]; known {
		return of, of.process.Known()
	}
	of := processAndParent{}
	if process, err := owner.Identify(pid); err == nil {
		of.process = process
		of.parent, of.hasParent = owner.Parent(process)
	}
	s.parents[pid] = of
	return of, of.process.Known()
}

// find returns the descriptor of a socket in a process. A child inherits its parent's descriptor numbers, so find tries
// the likely number first. Otherwise it lists all sockets of the process, once per search.
func (s *fastScanner) find(pid int32, inode uint32, likely int) (fd int, ok bool) {
	if s.holdsAt(pid, likely, inode) {
		return likely, true
	}
	held, listed := s.descriptors[pid]
	if !listed {
		held = map[uint32]int{}
		// A process with hidden files does not count as a holder.
		_ = s.fs.sockets(pid, func(fd int, inode uint32) bool {
			held[inode] = fd
			return true
		})
		s.descriptors[pid] = held
	}
	fd, ok = held[inode]
	return fd, ok
}

func (s *fastScanner) holdsAt(pid int32, fd int, inode uint32) bool {
	has, ok := s.fs.socketAt(pid, fd)
	return ok && has == inode
}
