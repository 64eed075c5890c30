package watcher

import (
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
)

// searchBudget is how long a search may take in one tick; the next tick continues it.
const searchBudget = 50 * time.Millisecond

// A search finds the processes that hold sockets. A look at every file of every process is slow. So it starts with the
// likeliest processes, and stops when it has found all: those younger than the previous search, those in a small cgroup
// of the socket, recent former owners, those with a changed number of open files, then all others.
type search struct {
	fs      *procfs
	pids    []int32         // sorted, of the previous search; nil if this is the first
	files   map[int32]int64 // number of open files, by PID, at the last count
	former  []int32         // recent former owners
	cgroups cgroups

	// The walk through all others may take several ticks:
	rest       []int32          // processes still to visit; nil if there is no walk under way
	sought     map[uint32]*sock // the sockets wanted at its start
	everywhere bool             // whether it visits all processes
}

// run looks for the holders of the wanted sockets, keyed by inode. It calls found with each holder, and found reports
// whether that ends the search for the socket. If everywhere is false, run skips processes that seem unchanged. Every
// run but the first has a time limit, and the next run continues the walk. It returns the sockets without a holder
// after a complete walk. An error means that no process can be visited for now; that takes hardly any time.
func (s *search) run(want map[uint32]*sock, everywhere bool,
	found func(so *sock, pid int32, fd int) bool) (vain []*sock, err error) {
	h := searchRun{search: s, want: maps.Clone(want), found: found, seen: map[int32]bool{}}
	before := s.pids
	if before != nil {
		h.until = time.Now().Add(searchBudget)
	}
	pids, err := s.fs.pids(make([]int32, 0, len(before)+64))
	if err != nil { // no process can be seen, here or now
		s.rest = nil
		return nil, err
	}
	s.pids = pids
	if before != nil {
		young := slices.DeleteFunc(slices.Clone(pids), func(pid int32) bool {
			_, old := slices.BinarySearch(before, pid)
			return old
		})
		slices.Reverse(young) // the newest first, as far as PIDs tell
		h.visit(young)
		h.visit(s.cgroupMembers(h.want))
		h.visit(s.former)
	}
	if len(h.want) > 0 {
		if s.rest == nil {
			s.rest, s.sought, s.everywhere = s.likely(pids, h.want, everywhere), maps.Clone(h.want), everywhere
		}
		if s.rest = h.visit(s.rest); len(s.rest) > 0 && len(h.want) > 0 && h.err == nil {
			return nil, nil
		}
	}
	s.rest = nil
	if h.err != nil {
		s.pids, s.files = before, nil // unvisited processes stay new for the next run
		return nil, h.err
	}
	for inode, so := range h.want {
		if s.sought[inode] == so { // a socket that came later needs a new walk
			vain = append(vain, so)
		}
	}
	return vain, nil
}

// remember notes a former owner. It often opens its port again, with the same number of open files as before.
func (s *search) remember(pid int32) {
	const few = 16
	if !slices.Contains(s.former, pid) {
		s.former = append(s.former[max(0, len(s.former)-few+1):], pid)
	}
}

// likely returns the processes with a changed number of open files and, if everywhere, then all others. Within both,
// the sockets' users come first.
func (s *search) likely(pids []int32, want map[uint32]*sock, everywhere bool) []int32 {
	users := map[uint32]bool{}
	for _, so := range want {
		users[so.uid] = true
	}
	files := make(map[int32]int64, len(pids))
	rank := make(map[int32]int, len(pids))
	for _, pid := range pids {
		n, uid, ok := s.fs.files(pid)
		if !ok {
			continue
		}
		files[pid] = n
		if last, known := s.files[pid]; known && last == n {
			rank[pid] += 2
		}
		if !users[uid] {
			rank[pid]++
		}
	}
	s.files = files
	order := slices.DeleteFunc(slices.Clone(pids), func(pid int32) bool {
		_, ok := files[pid]
		return !ok || !everywhere && rank[pid] >= 2
	})
	slices.Reverse(order)
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(rank[a], rank[b]) })
	return order
}

// cgroupMembers returns the processes in the cgroups of the wanted sockets, if those are small.
func (s *search) cgroupMembers(want map[uint32]*sock) []int32 {
	var pids []int32
	done := map[uint64]bool{}
	for _, so := range want {
		if so.cgroup != 0 && !done[so.cgroup] {
			done[so.cgroup] = true
			pids = append(pids, s.cgroups.members(so.cgroup)...)
		}
	}
	return pids
}

type searchRun struct {
	*search
	want  map[uint32]*sock
	found func(so *sock, pid int32, fd int) bool
	seen  map[int32]bool
	until time.Time // zero for no limit
	err   error     // why no process can be visited any more
}

// visit inspects processes until all wanted sockets are found or time is up. It returns the unvisited processes.
func (h *searchRun) visit(pids []int32) (left []int32) {
	type match struct {
		so *sock
		fd int
	}
	var matches []match // used after the listing, because its buffers are busy until then
	for i, pid := range pids {
		if len(h.want) == 0 || h.err != nil || !h.until.IsZero() && time.Now().After(h.until) {
			return pids[i:]
		}
		if h.seen[pid] {
			continue
		}
		h.seen[pid] = true
		matches = matches[:0]
		err := h.fs.sockets(pid, func(fd int, inode uint32) bool {
			so := h.want[inode]
			if so != nil && !slices.ContainsFunc(matches, func(m match) bool { return m.so == so }) {
				matches = append(matches, match{so, fd})
			}
			return len(matches) < len(h.want)
		})
		if owner.OutOfFiles(err) { // a process with hidden files is no error
			h.err = err
		}
		for _, m := range matches {
			if h.want[m.so.inode] != nil && h.found(m.so, pid, m.fd) {
				delete(h.want, m.so.inode)
			}
		}
	}
	return nil
}

// cgroups holds the directories of the version 2 hierarchy by inode number. sock_diag returns this number for a socket.
type cgroups struct {
	dirs   map[uint64]string
	large  map[uint64]bool // too large to be useful
	walked time.Time
}

// members returns the processes directly in a cgroup. It returns none if they are unknown or more than many.
func (c *cgroups) members(id uint64) []int32 {
	const many = 64
	if time.Since(c.walked) > time.Minute || c.dirs[id] == "" && time.Since(c.walked) > 10*time.Second {
		c.walk()
	}
	dir := c.dirs[id]
	if dir == "" || c.large[id] {
		return nil
	}
	list, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		delete(c.dirs, id)
		return nil
	}
	var pids []int32
	for line := range strings.Lines(string(list)) {
		if pid, err := strconv.ParseInt(strings.TrimSpace(line), 10, 32); err == nil {
			pids = append(pids, int32(pid))
		}
		if len(pids) > many {
			c.large[id] = true
			return nil
		}
	}
	return pids
}

// walk reads the hierarchy anew.
func (c *cgroups) walk() {
	const most = 4096
	c.dirs, c.large, c.walked = map[uint64]string{}, map[uint64]bool{}, time.Now()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		// Directories that vanish or are hidden are left out.
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				c.dirs[info.Sys().(*syscall.Stat_t).Ino] = path
			}
			if len(c.dirs) > most {
				return fs.SkipAll
			}
			return nil
		})
	}
}
