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

// searchBudget is how long a search may take in one tick; what is left of it is done in the next.
const searchBudget = 50 * time.Millisecond

// A search finds the processes that hold sockets. Looking at every file of every process is what takes other programs so long,
// so it looks where the socket most likely is first, and stops when all are found: processes that are younger than the search
// before; those in the socket's cgroup, if it is a small one; those that owned a listener lately; those whose number of open
// files has changed; then all others, of the socket's user first.
type search struct {
	fs      *procfs
	pids    []int32         // of the search before, sorted; nil if this is the first
	files   map[int32]int64 // how many files processes had open when that was last counted
	former  []int32         // the last to cease to be owners
	cgroups cgroups

	// Of the walk through all others, which may take several ticks:
	rest       []int32          // what it has still to look at; nil if there is no walk under way
	sought     map[uint32]*sock // what it has looked for from its beginning
	everywhere bool             // whether it looks at all of them
}

// run looks for the holders of the wanted sockets, which are given by inode. It calls found with each holder, and found says
// whether that settles it. Where everywhere is false, it does not look at processes in which nothing seems to have changed. But
// for the first, a run stops when its time is up, and the next one goes on from there. It returns the sockets that have been
// looked for to the end, in vain. The error tells that nobody could be looked at, for now; that takes hardly any time.
func (s *search) run(want map[uint32]*sock, everywhere bool, found func(so *sock, pid int32, fd int) bool) (vain []*sock, err error) {
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
		s.pids, s.files = before, nil // what was not looked at is new to the next run, too
		return nil, h.err
	}
	for inode, so := range h.want {
		if s.sought[inode] == so { // one that came later has a walk of its own
			vain = append(vain, so)
		}
	}
	return vain, nil
}

// remember notes that a process owns no listener any longer. A server that opens its port again is often the same process, and
// then has as many files open as before.
func (s *search) remember(pid int32) {
	const few = 16
	if !slices.Contains(s.former, pid) {
		s.former = append(s.former[max(0, len(s.former)-few+1):], pid)
	}
}

// likely returns processes in the order in which they are worth a look: those that have more or fewer files open than before
// and, if everywhere, then all others.
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

// mates returns the processes in the cgroups of the wanted sockets, where those are small.
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

// A hunt is one run of a search.
type searchRun struct {
	*search
	want  map[uint32]*sock
	found func(so *sock, pid int32, fd int) bool
	seen  map[int32]bool
	until time.Time // zero for no limit
	err   error     // why nobody can be looked at any more
}

// look looks at processes until nothing is wanted any more or time is up, and returns those that it did not get to.
func (h *searchRun) visit(pids []int32) (left []int32) {
	type match struct {
		so *sock
		fd int
	}
	var matches []match // acted on when the process's files have been listed: the listing's buffers are in use until then
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
		if owner.OutOfFiles(err) { // a process whose files may not be seen is no error
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

// cgroups knows the directories of the version 2 hierarchy by their inode numbers, which sock_diag gives for a socket.
type cgroups struct {
	dirs   map[uint64]string
	large  map[uint64]bool // those that are too large to be of use
	walked time.Time
}

// members returns the processes directly in a cgroup, or none if that cannot be told or they are many.
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
		// A directory that goes or may not be seen is left out.
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
