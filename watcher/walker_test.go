package watcher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// walkerPID is the PID of the walker. Its user is 501.
const walkerPID = 100

// A mac is a macOS machine as a walker sees it: sockets by process and descriptor.
type mac struct {
	files    map[int32]map[int32]openSocket // nil for an ended process
	other    []openSocket                   // sockets of processes that the walker may not read
	withheld bool                           // the table has only the sockets of the walker
	unlisted map[int32]bool                 // processes that are missing in the table

	fails   map[string]error  // errors by question, with its process and descriptor, if any
	garbled map[string]bool   // questions with broken answers
	at      map[string]func() // called right before the first answer to a question
	asked   map[string]int    // counts of questions
}

func newMac() *mac {
	return &mac{
		files: map[int32]map[int32]openSocket{walkerPID: {}},
		fails: map[string]error{}, garbled: map[string]bool{}, at: map[string]func(){}, asked: map[string]int{},
	}
}

// open gives a process a socket.
func (m *mac) open(pid, fd int32, so openSocket) {
	if m.files[pid] == nil {
		m.files[pid] = map[int32]openSocket{}
	}
	so.user = pid
	m.files[pid][fd] = so
}

// answer counts a question about a process and a file. It fails if m.fails says so.
func (m *mac) answer(question string, about ...int32) error {
	m.asked[question]++
	whole := question
	for _, n := range about {
		whole += fmt.Sprintf(" %d", n)
	}
	if happens := m.at[whole]; happens != nil {
		delete(m.at, whole)
		happens()
	}
	return cmp.Or(m.fails[question], m.fails[whole])
}

// walker returns a walker of this machine. More processes are the kernel (0), another user's (1) and an ended one (98).
func (m *mac) walker() *walker {
	k := xnu{
		table: func() ([]byte, error) {
			if err := m.answer("table"); err != nil {
				return nil, err
			}
			if m.garbled["table"] {
				return make([]byte, 48), nil
			}
			sockets := slices.Clone(m.other)
			for pid, files := range m.files {
				for _, so := range files {
					if !m.unlisted[pid] && (pid == walkerPID || !m.withheld) {
						sockets = append(sockets, so)
					}
				}
			}
			if m.withheld {
				sockets = slices.DeleteFunc(sockets, func(so openSocket) bool { return so.user != walkerPID })
			}
			slices.SortFunc(sockets, func(a, b openSocket) int { return int(a.gen) - int(b.gen) })
			// A shared socket occurs once.
			sockets = slices.CompactFunc(sockets, func(a, b openSocket) bool { return a.gen == b.gen })
			return tableOf(false, sockets...), nil
		},
		processes: func() ([]byte, error) {
			if err := m.answer("processes"); err != nil {
				return nil, err
			}
			if m.garbled["processes"] {
				return []byte{1}, nil
			}
			pids := slices.AppendSeq([]int32{0, 1, 98}, maps.Keys(m.files))
			slices.SortFunc(pids, func(a, b int32) int { return int(b - a) }) // youngest first
			return pidList(pids...), nil
		},
		files: func(pid int32) ([]byte, error) {
			if err := m.answer("files", pid); err != nil {
				return nil, err
			}
			switch {
			case pid == 0:
				return nil, errors.New("asked about the kernel")
			case pid == 1:
				return nil, syscall.EPERM
			case m.files[pid] == nil:
				return nil, syscall.ESRCH
			case m.garbled["files"]:
				return []byte{1}, nil
			}
			list := fdinfo(0, 1)
			for _, fd := range slices.Sorted(maps.Keys(m.files[pid])) {
				list = append(list, fdinfo(fd, fdtypeSocket)...)
			}
			return list, nil
		},
		socket: func(pid, fd int32) ([]byte, error) {
			if err := m.answer("socket", pid, fd); err != nil {
				return nil, err
			}
			so, ok := m.files[pid][fd]
			switch {
			case m.files[pid] == nil:
				return nil, syscall.ESRCH
			case !ok:
				return nil, syscall.EBADF
			case m.garbled["socket"]:
				return so.info()[:100], nil
			}
			return so.info(), nil
		},
	}
	return &walker{kernel: k, self: walkerPID, uid: 501}
}

// busy returns a machine: process 200 listens on port 3000. Another user listens on port 22 and has a connection there.
func busy() *mac {
	m := newMac()
	m.open(200, 5, listeningAt("127.0.0.1:3000", 10))
	other := listeningAt("0.0.0.0:22", 11)
	other.uid, other.user = 0, 1
	connection := other
	connection.gen, connection.state = 12, 4
	m.other = []openSocket{other, connection}
	return m
}

// formatSockets writes sockets as "PID@address:port". An exclamation mark stands for another user.
func formatSockets(sockets []socket) string {
	var list []string
	for _, so := range sockets {
		mark := ""
		if so.foreign {
			mark = "!"
		}
		list = append(list, fmt.Sprintf("%d@%v%s", so.pid, so.addrPort(), mark))
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// expectSockets fails the test unless the walker lists want.
func expectSockets(t *testing.T, w *walker, want string) {
	t.Helper()
	sockets, err := w.list(t.Context(), 0)
	if got := formatSockets(sockets); got != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestWalker(t *testing.T) {
	const usual = "0@0.0.0.0:22! 200@127.0.0.1:3000 203@[::1]:9000"
	tests := []struct {
		name   string
		change func(*mac)
		want   string
		walks  bool
	}{
		{"nothing", func(*mac) {}, usual, false},
		{"a connection comes", func(m *mac) {
			so := listeningAt("127.0.0.1:3000", 20)
			so.state = 4
			m.open(200, 6, so)
		}, usual, false},
		{"a socket comes", func(m *mac) { m.open(201, 5, listeningAt("[::1]:8080", 20)) },
			"0@0.0.0.0:22! 200@127.0.0.1:3000 201@[::1]:8080 203@[::1]:9000", true},
		{"a socket goes", func(m *mac) { delete(m.files[200], 5) }, "0@0.0.0.0:22! 203@[::1]:9000", true},
		{"its process ends", func(m *mac) { delete(m.files, 200) }, "0@0.0.0.0:22! 203@[::1]:9000", true},
		{"another socket takes its place", func(m *mac) {
			delete(m.files, 200)
			m.open(201, 5, listeningAt("127.0.0.1:3000", 20))
		}, "0@0.0.0.0:22! 201@127.0.0.1:3000 203@[::1]:9000", true},
		{"it is handed to another process", func(m *mac) {
			m.open(201, 9, m.files[200][5])
			delete(m.files, 200)
		}, "0@0.0.0.0:22! 201@127.0.0.1:3000 203@[::1]:9000", true},
		{"two processes swap their sockets", func(m *mac) {
			m.files[200][5], m.files[203][5] = m.files[203][5], m.files[200][5]
		}, "0@0.0.0.0:22! 200@[::1]:9000 203@127.0.0.1:3000", true},
		{"it moves to another descriptor", func(m *mac) {
			m.open(200, 9, m.files[200][5])
			delete(m.files[200], 5)
		}, usual, true},
		{"it stops to listen", func(m *mac) {
			so := m.files[200][5]
			so.state = 0
			m.files[200][5] = so
		}, "0@0.0.0.0:22! 203@[::1]:9000", true},
		{"another user's goes", func(m *mac) { m.other = m.other[1:] }, "200@127.0.0.1:3000 203@[::1]:9000", true},
		{"one of this user's is hidden", func(m *mac) {
			so := listeningAt("127.0.0.1:4000", 20)
			so.user = 1
			m.other = append(m.other, so)
		}, "0@0.0.0.0:22! 0@127.0.0.1:4000 200@127.0.0.1:3000 203@[::1]:9000", true},
		{"the table is withheld", func(m *mac) { m.withheld = true }, "200@127.0.0.1:3000 203@[::1]:9000", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := busy()
			m.open(203, 5, listeningAt("[::1]:9000", 15))
			w := m.walker()
			expectSockets(t, w, usual)
			walks := m.asked["processes"]
			tt.change(m)
			expectSockets(t, w, tt.want)
			if walked := m.asked["processes"] > walks; walked != tt.walks {
				t.Errorf("walked: %v, want %v", walked, tt.walks)
			}
		})
	}
}

// TestWalkerShared has processes that share a socket, and one that has a socket twice.
func TestWalkerShared(t *testing.T) {
	m := busy()
	m.open(150, 5, m.files[200][5])
	m.open(150, 6, m.files[200][5])
	m.open(201, 5, m.files[200][5])
	m.open(202, 5, listeningAt("127.0.0.1:3000", 20)) // another socket at the same address and port (SO_REUSEPORT)
	w := m.walker()
	expectSockets(t, w, "0@0.0.0.0:22! 150@127.0.0.1:3000 202@127.0.0.1:3000")
	for pid, want := range map[int32]string{
		150: "150@127.0.0.1:3000", 200: "200@127.0.0.1:3000", 201: "201@127.0.0.1:3000", walkerPID: "", 1: "", 98: "",
		999: "",
	} {
		if sockets, err := w.list(t.Context(), pid); formatSockets(sockets) != want || err != nil {
			t.Errorf("process %d: got %q, %v, want %q", pid, formatSockets(sockets), err, want)
		}
	}
	delete(m.files, 150)
	expectSockets(t, w, "0@0.0.0.0:22! 200@127.0.0.1:3000 202@127.0.0.1:3000")
}

// TestWalkerLooksAgain has a process take a socket without a trace in the table.
func TestWalkerLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := busy()
		w := m.walker()
		expectSockets(t, w, "0@0.0.0.0:22! 200@127.0.0.1:3000")
		m.open(300, 3, m.other[0])
		time.Sleep(walkWithin - time.Second)
		expectSockets(t, w, "0@0.0.0.0:22! 200@127.0.0.1:3000")
		time.Sleep(time.Second)
		expectSockets(t, w, "200@127.0.0.1:3000 300@0.0.0.0:22")
	})
}

// TestWalkerWithoutTable has a kernel that hides the sockets of others, in different ways. The walker must still list
// every socket that a walk finds.
func TestWalkerWithoutTable(t *testing.T) {
	tests := []struct {
		name   string
		change func(*mac)
		tables int // number of table reads in three lists
	}{
		{"withheld", func(m *mac) { m.withheld = true }, 3},
		{"withheld, nothing listens", func(m *mac) { m.withheld, m.files[200] = true, nil }, 3},
		{"nobody else has a socket, and then somebody has", func(m *mac) { m.other, m.files[200] = nil, nil }, 4},
		{"not there", func(m *mac) { m.fails["table"] = syscall.ENOENT }, 1},
		{"not understood", func(m *mac) { m.garbled["table"] = true }, 1},
		{"always too large", func(m *mac) { m.fails["table"] = syscall.ENOMEM }, tableAttempts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := busy()
			tt.change(m)
			w := m.walker()
			before := formatSockets(heldSockets(mustWalk(t, w)))
			expectSockets(t, w, before)
			expectSockets(t, w, before)
			m.open(201, 5, listeningAt("[::1]:8080", 20))
			expectSockets(t, w, strings.TrimSpace(before+" 201@[::1]:8080"))
			if got := m.asked["processes"]; got != 1+3 {
				t.Errorf("%d walks, want one per list and one for the test", got)
			}
			if got := m.asked["table"]; got != tt.tables {
				t.Errorf("read the table %d times, want %d", got, tt.tables)
			}
		})
	}
}

// TestWalkerPartOfTable has a table that lacks the sockets of some processes, at first or later.
func TestWalkerPartOfTable(t *testing.T) {
	m := busy()
	m.unlisted = map[int32]bool{200: true, 201: true}
	w := m.walker()
	expectSockets(t, w, "0@0.0.0.0:22! 200@127.0.0.1:3000")
	m.open(201, 5, listeningAt("[::1]:8080", 20))
	expectSockets(t, w, "0@0.0.0.0:22! 200@127.0.0.1:3000 201@[::1]:8080")

	m = newMac()
	m.other = busy().other[1:] // a connection
	w = m.walker()
	expectSockets(t, w, "")
	m.withheld = true
	m.open(201, 5, listeningAt("[::1]:8080", 20))
	expectSockets(t, w, "201@[::1]:8080")
}

func mustWalk(t *testing.T, w *walker) []holding {
	t.Helper()
	held, err := w.walk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return held
}

// TestWalkerRaces has sockets come and go during a walk.
func TestWalkerRaces(t *testing.T) {
	tests := []struct {
		name  string
		at    string
		does  func(*mac)
		first string // the first list
		then  string // the next list
	}{
		{"a socket comes after the table was read", "processes",
			func(m *mac) { m.open(201, 5, listeningAt("[::1]:8080", 20)) },
			"0@0.0.0.0:22! 200@127.0.0.1:3000 201@[::1]:8080", "0@0.0.0.0:22! 200@127.0.0.1:3000 201@[::1]:8080"},
		{"a socket comes after its process was looked at", "files 100",
			func(m *mac) { m.open(200, 6, listeningAt("[::1]:8080", 20)) },
			"0@0.0.0.0:22! 200@127.0.0.1:3000", "0@0.0.0.0:22! 200@127.0.0.1:3000 200@[::1]:8080"},
		{"a socket goes before its process is looked at", "files 200", func(m *mac) { delete(m.files[200], 5) },
			"0@0.0.0.0:22!", "0@0.0.0.0:22!"},
		{"a socket goes after the files were listed", "socket 200 5", func(m *mac) { delete(m.files[200], 5) },
			"0@0.0.0.0:22!", "0@0.0.0.0:22!"},
		{"a process ends before it is looked at", "files 200", func(m *mac) { delete(m.files, 200) },
			"0@0.0.0.0:22!", "0@0.0.0.0:22!"},
		{"a process ends after its files were listed", "socket 200 5", func(m *mac) { delete(m.files, 200) },
			"0@0.0.0.0:22!", "0@0.0.0.0:22!"},
		{"another user's socket goes", "processes", func(m *mac) { m.other = m.other[1:] }, "200@127.0.0.1:3000",
			"200@127.0.0.1:3000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := busy()
			m.at[tt.at] = func() { tt.does(m) }
			w := m.walker()
			expectSockets(t, w, tt.first)
			expectSockets(t, w, tt.then)
			walks := m.asked["processes"]
			expectSockets(t, w, tt.then)
			if m.asked["processes"] > walks {
				t.Error("walked without a change")
			}
		})
	}
}

// TestWalkerFails checks that a failure never looks like an empty list.
func TestWalkerFails(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name   string
		change func(*mac)
		want   string // empty accepts any error
	}{
		{"no list of processes", func(m *mac) { m.fails["processes"] = broken },
			"list TCP sockets: list processes: broken"},
		{"a garbled list of processes", func(m *mac) { m.garbled["processes"] = true }, ""},
		{"no files", func(m *mac) { m.fails["files"] = broken }, "list TCP sockets: files of process 200: broken"},
		{"no files of one process", func(m *mac) { m.fails["files 200"] = broken },
			"list TCP sockets: files of process 200: broken"},
		{"garbled files", func(m *mac) { m.garbled["files"] = true }, ""},
		{"nothing about a socket", func(m *mac) { m.fails["socket"] = broken },
			"list TCP sockets: file 5 of process 200: broken"},
		{"a garbled socket", func(m *mac) { m.garbled["socket"] = true }, ""},
		{"another layout", func(m *mac) { m.fails["socket"] = syscall.ENOMEM }, ""},
		{"a socket of no version", func(m *mac) {
			so := listeningAt("127.0.0.1:3000", 10)
			so.flags = 8
			m.open(200, 5, so)
		}, ""},
		{"its own files are hidden", func(m *mac) { m.fails["files 100"] = syscall.EPERM },
			"list TCP sockets: not even this process's own files may be looked at"},
		{"all files are hidden", func(m *mac) { m.fails["files"] = syscall.EPERM },
			"list TCP sockets: not even this process's own files may be looked at"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := busy()
			m.fails["table"] = syscall.ENOENT
			tt.change(m)
			sockets, err := m.walker().list(t.Context(), 0)
			if err == nil || len(sockets) > 0 || tt.want != "" && err.Error() != tt.want {
				t.Errorf("got %q, %v, want the error %q", formatSockets(sockets), err, tt.want)
			}
		})
	}
}

// TestWalkerTableFails has a table that fails after it worked. The sockets of others must not seem closed.
func TestWalkerTableFails(t *testing.T) {
	const usual = "0@0.0.0.0:22! 200@127.0.0.1:3000"
	m := busy()
	w := m.walker()
	expectSockets(t, w, usual)
	fail := func(why string) {
		t.Helper()
		if sockets, err := w.list(t.Context(), 0); err == nil {
			t.Errorf("%s: got %q and no error", why, formatSockets(sockets))
		}
	}
	m.fails["table"] = syscall.EPERM
	fail("refused")
	m.fails["table"] = syscall.ENOMEM
	fail("too large")
	delete(m.fails, "table")
	m.garbled["table"] = true
	fail("garbled")
	m.garbled["table"] = false
	expectSockets(t, w, usual)
	m.open(201, 5, listeningAt("[::1]:8080", 20))
	m.at["processes"] = func() { m.fails["table"] = syscall.EPERM }
	fail("refused after the walk")
	delete(m.fails, "table")
	expectSockets(t, w, usual+" 201@[::1]:8080")
	m.fails["table"] = syscall.ENOMEM
	m.at["table"] = func() { delete(m.fails, "table") }
	expectSockets(t, w, usual+" 201@[::1]:8080")
}

func TestWalkerStops(t *testing.T) {
	m := busy()
	ctx, cancel := context.WithCancel(t.Context())
	m.at["processes"] = cancel
	if sockets, err := m.walker().list(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v", formatSockets(sockets), err)
	}
	if m.asked["files"] > 0 {
		t.Error("still running after the end of the context")
	}
}

// TestWalkerUnchanged checks that an unchanged scan is cheap.
func TestWalkerUnchanged(t *testing.T) {
	m := busy()
	w := m.walker()
	first, err := w.list(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	clear(m.asked)
	second, err := w.list(t.Context(), 0)
	if err != nil || &first[0] != &second[0] {
		t.Errorf("got another list, %v", err)
	}
	if want := map[string]int{"table": 1, "socket": 1}; !maps.Equal(m.asked, want) {
		t.Errorf("asked %v, want %v", m.asked, want)
	}
}
