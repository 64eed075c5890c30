package watcher

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A look is what one scan of a machine comes to.
type look struct {
	sees    string // the listeners, as parse reads them
	witness bool   // sees as well what this process really listens on
	err     error
	takes   time.Duration
	deaf    bool // does not stop when its context is done
}

// A machine is a system under a Watcher: each scan of it is the next of its looks, and the last one is repeated for ever.
type machine struct {
	t     *testing.T
	start time.Time

	mu       sync.Mutex
	looks    []look
	scanning bool
	began    []time.Duration // when each scan was begun
}

func newMachine(t *testing.T, looks ...look) *machine {
	return &machine{t: t, start: time.Now(), looks: looks}
}

// scan is the machine's Watcher.Scan.
func (m *machine) scan(ctx context.Context) (Snapshot, error) {
	now := m.begin(ctx)
	defer m.end()
	if now.deaf {
		time.Sleep(now.takes)
	} else if now.takes > 0 {
		select {
		case <-time.After(now.takes):
		case <-ctx.Done():
			return Snapshot{}, ctx.Err()
		}
	}
	if now.err != nil {
		return Snapshot{}, now.err
	}
	seen := parse(m.t, now.sees)
	if now.witness {
		seen = append(seen, own(m.t)...)
		slices.SortFunc(seen, Listener.compare)
	}
	return Snapshot{time.Now(), seen}, nil
}

func (m *machine) begin(ctx context.Context) look {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.scanning {
		m.t.Error("a scan was begun before the last one had returned")
	}
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > scanLimit {
		m.t.Errorf("a scan was begun with the deadline %v, %v", time.Until(deadline), ok)
	}
	m.scanning = true
	m.began = append(m.began, time.Since(m.start))
	now := m.looks[0]
	if len(m.looks) > 1 {
		m.looks = m.looks[1:]
	}
	return now
}

func (m *machine) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scanning = false
}

// own returns what this process really listens on.
func own(t *testing.T) []Listener {
	s, err := Scan(t.Context())
	if err != nil {
		t.Error(err)
	}
	return slices.DeleteFunc(s.Listeners, func(l Listener) bool { return int(l.Owner.PID) != os.Getpid() })
}

// report writes an update in one line that begins with the time since the machine's start.
func (m *machine) report(u Update) string {
	line := fmt.Sprintf("%v [%s]", time.Since(m.start), format(u.Snapshot.Listeners...))
	if len(u.Events) > 0 {
		line += " " + formatEvents(u.Events)
	}
	if u.Err != nil {
		line += " stale: " + u.Err.Error()
	}
	return line
}

// follow runs w for 20 seconds and returns a line for every update.
func (m *machine) follow(w *Watcher) []string {
	ctx, cancel := context.WithCancel(m.t.Context())
	updates := make(chan Update)
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, updates) })
	defer wg.Wait()
	defer cancel()
	var lines []string
	for end := time.After(20 * time.Second); ; {
		select {
		case u := <-updates:
			lines = append(lines, m.report(u))
		case <-end:
			return lines
		}
	}
}

var (
	errRead    = errors.New("list TCP sockets: input/output error")
	incomplete = "the system's list of listeners is incomplete: it lacks "
)

// A runTest is what comes of a machine's first 20 seconds.
type runTest struct {
	name  string
	looks []look
	gone  int32    // a PID that has ended
	want  []string // as report writes them
}

func (tt runTest) run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, tt.looks...)
		got := m.follow(&Watcher{Scan: m.scan, gone: func(l Listener) bool { return l.Owner.PID == tt.gone }})
		if !slices.Equal(got, tt.want) {
			t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
		}
	})
}

func TestRun(t *testing.T) {
	tests := []runTest{
		{
			name:  "baseline",
			looks: []look{{sees: "80/7 90/8@::1"}},
			want:  []string{"0s [80/7 90/8@::1]"},
		}, {
			name:  "nothing at first",
			looks: []look{{}, {}, {sees: "80/7"}},
			want:  []string{"0s []", "2s [80/7] opened 80/7"},
		}, {
			name:  "opened",
			looks: []look{{sees: "80/7"}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7]", "2s [80/7 90/8] opened 90/8"},
		}, {
			name:  "addresses",
			looks: []look{{sees: "80/7"}, {sees: "80/7@127.0.0.1,::1"}, {sees: "80/7@0.0.0.0,::1"}},
			want:  []string{"0s [80/7]", "1s [80/7@127.0.0.1,::1]", "2s [80/7@0.0.0.0,::1]"},
		}, {
			name:  "owner seen late",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/0"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7]", "1s [80/7 90/0] opened 90/0", "2s [80/7 90/8]"},
		}, {
			name:  "owner unseen for good",
			looks: []look{{sees: "80/7"}, {sees: "80/0"}},
			want:  []string{"0s [80/7]", "1.25s [80/0]"},
		}, {
			name:  "owner unseen once",
			looks: []look{{sees: "80/7"}, {sees: "80/0"}, {sees: "80/7"}},
			want:  []string{"0s [80/7]"},
		},

		{
			name:  "missing",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}},
			want:  []string{"0s [80/7 90/8]", "1.25s [80/7] closed 90/8"},
		}, {
			name:  "missing once",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]"},
		}, {
			name:  "missing again and again, but never twice in a row",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {sees: "80/7 90/8"}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]"},
		}, {
			name:  "missing before and after an error",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {err: errRead}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]", "1.25s [80/7 90/8] stale: " + errRead.Error(), "2.25s [80/7 90/8]"},
		}, {
			name:  "owner gone",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}},
			gone:  8,
			want:  []string{"0s [80/7 90/8]", "1s [80/7] closed 90/8"},
		}, {
			name:  "restarted",
			looks: []look{{sees: "80/7"}, {sees: "80/8"}},
			gone:  7,
			want:  []string{"0s [80/7]", "1s [80/8] closed 80/7; opened 80/8"},
		}, {
			name:  "handed over to a new owner",
			looks: []look{{sees: "80/7"}, {sees: "80/8"}},
			want:  []string{"0s [80/7]", "1s [80/7 80/8] opened 80/8", "1.25s [80/8] closed 80/7"},
		},

		{
			name:  "error",
			looks: []look{{sees: "80/7"}, {err: errRead}, {err: errRead}, {err: errRead}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "1s [80/7] stale: " + errRead.Error(), "4s [80/7]"},
		}, {
			name:  "another error",
			looks: []look{{sees: "80/7"}, {err: errRead}, {err: os.ErrPermission}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "1s [80/7] stale: " + errRead.Error(), "2s [80/7] stale: permission denied", "3s [80/7]"},
		}, {
			name:  "opened during an error",
			looks: []look{{sees: "80/7"}, {err: errRead}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7]", "1s [80/7] stale: " + errRead.Error(), "2s [80/7 90/8] opened 90/8"},
		}, {
			name:  "error at first",
			looks: []look{{err: errRead}, {err: errRead}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [] stale: " + errRead.Error(), "2s [80/7]", "3s [80/7 90/8] opened 90/8"},
		}, {
			name:  "too slow",
			looks: []look{{sees: "80/7"}, {takes: time.Hour}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "11s [80/7] stale: " + errSlow.Error(), "12s [80/7]"},
		}, {
			name:  "too slow and deaf: what it returns in the end is not believed",
			looks: []look{{sees: "80/7"}, {sees: "90/8", takes: 15 * time.Second, deaf: true}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "11s [80/7] stale: " + errSlow.Error(), "17s [80/7]"},
		}, {
			name:  "too slow at first",
			looks: []look{{sees: "80/7", takes: 15 * time.Second, deaf: true}, {sees: "80/7"}},
			want:  []string{"10s [] stale: " + errSlow.Error(), "16s [80/7]"},
		}, {
			name:  "slow",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/8", takes: 9 * time.Second}},
			want:  []string{"0s [80/7]", "10s [80/7 90/8] opened 90/8"},
		}, {
			name:  "missing before and after a scan that is too slow",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {takes: time.Hour}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]", "11.25s [80/7 90/8] stale: " + errSlow.Error(), "12.25s [80/7 90/8]"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

// TestRunLostFamily has scans without anything of an address family. Each is followed at once by one that should see a witness.
func TestRunLostFamily(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("this system has no IPv6 loopback:", err)
	} else {
		l.Close()
	}
	tests := []runTest{
		{
			name:  "empty and blind",
			looks: []look{{sees: "80/7 90/8"}, {}, {}, {}, {}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]", "1s [80/7 90/8] stale: " + incomplete + "tcp4", "3s [80/7 90/8]"},
		}, {
			name:  "empty and blind, though the owner is gone",
			looks: []look{{sees: "80/7"}, {}, {}, {}, {witness: true}, {}},
			gone:  7,
			want:  []string{"0s [80/7]", "1s [80/7] stale: " + incomplete + "tcp4", "2s [] closed 80/7"},
		}, {
			name:  "blind to IPv4",
			looks: []look{{sees: "80/7 90/8@::1"}, {sees: "90/8@::1"}, {sees: "90/8@::1"}, {sees: "80/7 90/8@::1"}},
			want:  []string{"0s [80/7 90/8@::1]", "1s [80/7 90/8@::1] stale: " + incomplete + "tcp4", "2s [80/7 90/8@::1]"},
		}, {
			name:  "blind to IPv6",
			looks: []look{{sees: "80/7 90/8@::"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7 90/8@::"}},
			want:  []string{"0s [80/7 90/8@::]", "1s [80/7 90/8@::] stale: " + incomplete + "tcp6", "2s [80/7 90/8@::]"},
		}, {
			name:  "blind to the IPv6 addresses of listeners that have others",
			looks: []look{{sees: "80/7@127.0.0.1,::1"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7@127.0.0.1,::1"}},
			want:  []string{"0s [80/7@127.0.0.1,::1]", "1s [80/7@127.0.0.1,::1] stale: " + incomplete + "tcp6", "2s [80/7@127.0.0.1,::1]"},
		}, {
			name:  "empty, and the next scan fails",
			looks: []look{{sees: "80/7"}, {}, {err: errRead}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "1s [80/7] stale: " + errRead.Error(), "2s [80/7]"},
		}, {
			name:  "empty, and the next scan is too slow",
			looks: []look{{sees: "80/7"}, {}, {takes: time.Hour}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "11s [80/7] stale: " + errSlow.Error(), "12s [80/7]"},
		}, {
			name:  "empty for an instant",
			looks: []look{{sees: "80/7"}, {}, {sees: "80/7", witness: true}, {sees: "80/7"}},
			want:  []string{"0s [80/7]"},
		}, {
			name:  "truly empty",
			looks: []look{{sees: "80/7 90/8@::1"}, {}, {witness: true}, {}, {witness: true}, {}},
			want:  []string{"0s [80/7 90/8@::1]", "1.25s [] closed 80/7; closed 90/8@::1"},
		}, {
			name:  "truly empty, and the owner is gone",
			looks: []look{{sees: "80/7"}, {}, {witness: true}, {}},
			gone:  7,
			want:  []string{"0s [80/7]", "1s [] closed 80/7"},
		}, {
			name:  "truly without IPv6",
			looks: []look{{sees: "80/7@127.0.0.1,::1 90/8@::1"}, {sees: "80/7"}, {sees: "80/7", witness: true}, {sees: "80/7"}, {sees: "80/7", witness: true}, {sees: "80/7"}},
			want:  []string{"0s [80/7@127.0.0.1,::1 90/8@::1]", "1s [80/7 90/8@::1]", "1.25s [80/7] closed 90/8@::1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
	if left := own(t); len(left) > 0 {
		t.Errorf("the witnesses listen on: %s", format(left...))
	}
}

func TestRunInterval(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name     string
		interval time.Duration
		looks    []look
		want     []time.Duration
	}{
		{"default", 0, []look{{}}, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}},
		{"negative", -1, []look{{}}, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}},
		{"given", 300 * ms, []look{{}}, []time.Duration{0, 300 * ms, 600 * ms, 900 * ms}},
		{"slow scans", 0, []look{{takes: 400 * ms}}, []time.Duration{0, 1400 * ms, 2800 * ms, 4200 * ms}},
		{"scans slower than the interval", 0, []look{{takes: 3 * time.Second}}, []time.Duration{0, 4000 * ms, 8000 * ms, 12000 * ms}},
		{"after errors", 0, []look{{err: errRead}}, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}},
		{"in doubt", 0, []look{{sees: "80/7 90/8"}, {sees: "80/7"}}, []time.Duration{0, 1000 * ms, 1250 * ms, 2250 * ms}},
		{"in doubt with a short interval", 100 * ms, []look{{sees: "80/7 90/8"}, {sees: "80/7"}}, []time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, tt.looks...)
				m.follow(&Watcher{Interval: tt.interval, Scan: m.scan, gone: func(Listener) bool { return false }})
				m.mu.Lock()
				defer m.mu.Unlock()
				if got := m.began[:len(tt.want)]; !slices.Equal(got, tt.want) {
					t.Errorf("scans began at %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestRunSlowReader has a reader that takes the first update and then none for a while.
func TestRunSlowReader(t *testing.T) {
	tests := []struct {
		name  string
		looks []look // one a second
		want  string // what the reader gets next, after 9.5 seconds if not later
	}{
		{
			name:  "several changes",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7 90/8 100/9"}, {sees: "80/7 100/9"}, {sees: "70/6 80/7 100/9"}},
			want:  "9.5s [70/6 80/7 100/9] closed 90/8; opened 70/6; opened 100/9",
		}, {
			name:  "restarted several times",
			looks: []look{{sees: "80/7"}, {sees: "80/8"}, {sees: "80/9"}, {sees: "80/10"}},
			want:  "9.5s [80/10] closed 80/7; opened 80/10",
		}, {
			name:  "an error and then a change",
			looks: []look{{sees: "80/7"}, {err: errRead}, {sees: "80/7 90/8"}},
			want:  "9.5s [80/7 90/8] opened 90/8",
		}, {
			name:  "a change and then an error",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/8"}, {err: errRead}},
			want:  "9.5s [80/7 90/8] opened 90/8 stale: " + errRead.Error(),
		}, {
			name: "nothing in the end",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/8"}, {err: errRead}, {sees: "80/7@0.0.0.0"}, {sees: "80/7"}, {sees: "80/7"},
				{sees: "80/7"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7 100/9"}},
			want: "11s [80/7 100/9] opened 100/9",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := newMachine(t, tt.looks...)
				updates := make(chan Update)
				w := &Watcher{Scan: m.scan, gone: func(Listener) bool { return true }}
				go w.Run(ctx, updates)
				<-updates
				time.Sleep(9500 * time.Millisecond)
				if got := m.report(<-updates); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				select {
				case u := <-updates:
					t.Errorf("another update: %s", m.report(u))
				case <-time.After(time.Minute):
				}
			})
		})
	}
}

func TestRunEnds(t *testing.T) {
	tests := []struct {
		name  string
		look  look
		reads bool // somebody receives the updates
	}{
		{"between scans", look{sees: "80/7"}, true},
		{"while it scans", look{takes: 5 * time.Second}, true},
		{"while it scans and the scan is deaf", look{takes: 5 * time.Second, deaf: true}, true},
		{"while it delivers", look{sees: "80/7"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which also waits for all goroutines
				ctx, cancel := context.WithCancel(t.Context())
				m := newMachine(t, tt.look)
				updates := make(chan Update, 1)
				if !tt.reads {
					updates = make(chan Update)
				}
				ended := false
				go func() {
					(&Watcher{Scan: m.scan}).Run(ctx, updates)
					ended = true
				}()
				time.Sleep(1500 * time.Millisecond)
				if ended {
					t.Fatal("Run has returned before the end of its context")
				}
				cancel()
				synctest.Wait()
				if !ended {
					t.Error("Run goes on after the end of its context")
				}
				time.Sleep(tt.look.takes) // a deaf scan ends by itself
				if len(updates) > 1 || len(updates) == 1 && (<-updates).Err != nil {
					t.Error("the end was delivered as an error")
				}
			})
		})
	}
}
