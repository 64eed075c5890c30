package watcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/server"
)

// A look is the result of one scan of a machine.
type look struct {
	sees          string // the listeners, as parse reads them
	witness       bool   // sees the real listeners of this process, too
	err           error
	takes         time.Duration
	ignoresCancel bool // ignores the end of its context
	search        bool // the search continues in the next look
}

// A machine is a system under a Watcher. Each scan returns the next look; the last one repeats.
type machine struct {
	t     *testing.T
	start time.Time

	mu       sync.Mutex
	looks    []look
	scanning bool
	began    []time.Duration // start times of the scans
}

func newMachine(t *testing.T, looks ...look) *machine {
	return &machine{t: t, start: time.Now(), looks: looks}
}

// scan is the machine's Watcher.Scan.
func (m *machine) scan(ctx context.Context) (Snapshot, error) {
	now := m.begin(ctx)
	defer m.end()
	if now.ignoresCancel {
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
		slices.SortFunc(seen, server.Listener.Compare)
	}
	return Snapshot{Time: time.Now(), Listeners: seen, Searching: now.search}, nil
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

// own returns the real listeners of this process.
func own(t *testing.T) []server.Listener {
	s, err := Scan(t.Context())
	if err != nil {
		t.Error(err)
	}
	return slices.DeleteFunc(s.Listeners, func(l server.Listener) bool { return int(l.Owner.PID) != listed(os.Getpid()) })
}

// report formats an update as one line. It begins with the time since the start of the machine.
func (m *machine) report(u Update) string {
	line := fmt.Sprintf("%v [%s]", time.Since(m.start), format(u.Snapshot.Listeners...))
	if len(u.Events) > 0 {
		line += " " + formatEvents(u.Events)
	}
	if u.Err != nil {
		line += " stale: " + u.Err.Error()
	}
	if u.Slow > 0 {
		line += fmt.Sprintf(" slow: %v", u.Slow)
	}
	return line
}

// follow runs w for a time span and returns a line per update.
func (m *machine) follow(w *Watcher, span time.Duration) []string {
	return m.followAs(w, span, m.report)
}

// followAs is follow with another format.
func (m *machine) followAs(w *Watcher, span time.Duration, write func(Update) string) []string {
	ctx, cancel := context.WithCancel(m.t.Context())
	updates := make(chan Update)
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, updates) })
	defer wg.Wait()
	defer cancel()
	var lines []string
	for end := time.After(span); ; {
		select {
		case u := <-updates:
			lines = append(lines, write(u))
		case <-end:
			return lines
		}
	}
}

var (
	errRead    = errors.New("list TCP sockets: input/output error")
	incomplete = "the system's list of listeners is incomplete: it lacks "
)

// A runTest checks the first 20 seconds of a machine.
type runTest struct {
	name  string
	looks []look
	gone  int32    // a PID that has ended
	want  []string // in the format of report
}

func (tt runTest) run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, tt.looks...)
		got := m.follow(&Watcher{Scan: m.scan, gone: func(l server.Listener) bool { return l.Owner.PID == tt.gone }},
			20*time.Second)
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
			want:  []string{"0s [80/7]", "1.25s [80/7 90/8] opened 90/8"},
		}, {
			name:  "addresses",
			looks: []look{{sees: "80/7"}, {sees: "80/7@127.0.0.1,::1"}, {sees: "80/7@0.0.0.0,::1"}},
			want: []string{"0s [80/7]", "250ms [80/7@127.0.0.1,::1]",
				"500ms [80/7@0.0.0.0,::1] exposed 80/7@0.0.0.0,::1"},
		}, {
			name:  "owner seen late",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/0"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7]", "250ms [80/7 90/0]", "500ms [80/7 90/8] opened 90/8"},
		}, {
			name: "owner found by a search that takes several scans",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/0", search: true}, {sees: "80/7 90/0", search: true},
				{sees: "80/7 90/8"}},
			want: []string{"0s [80/7]", "290ms [80/7 90/8] opened 90/8"},
		}, {
			name: "owner not found by a search that takes long",
			looks: append([]look{{sees: "80/7"}},
				append(slices.Repeat([]look{{sees: "80/7 90/0", search: true}}, 30), look{sees: "80/7 90/8"})...),
			want: []string{"0s [80/7]", "750ms [80/7 90/0]", "850ms [80/7 90/8] opened 90/8"},
		}, {
			name:  "error during a search",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/0", search: true}, {err: errRead}, {sees: "80/7 90/8"}},
			want: []string{"0s [80/7]", "270ms [80/7 90/0] stale: " + errRead.Error(),
				"1.27s [80/7 90/8] opened 90/8"},
		}, {
			name: "searches do not count as expensive scans",
			looks: append(slices.Repeat([]look{{sees: "80/7", takes: 30 * time.Millisecond, search: true}}, 6),
				look{sees: "80/7"}),
			want: []string{"300ms [80/7]"},
		}, {
			name:  "owner unseen for good",
			looks: []look{{sees: "80/7"}, {sees: "80/0"}},
			want:  []string{"0s [80/7]", "500ms [80/0]"},
		}, {
			name:  "owner unseen once",
			looks: []look{{sees: "80/7"}, {sees: "80/0"}, {sees: "80/7"}},
			want:  []string{"0s [80/7]"},
		},

		{
			name:  "missing",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}},
			want:  []string{"0s [80/7 90/8]", "500ms [80/7] closed 90/8"},
		}, {
			name:  "missing once",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]"},
		}, {
			name: "missing again and again, but never twice in a row",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {sees: "80/7 90/8"}, {sees: "80/7"},
				{sees: "80/7 90/8"}},
			want: []string{"0s [80/7 90/8]"},
		}, {
			name:  "missing before and after an error",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {err: errRead}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]", "500ms [80/7 90/8] stale: " + errRead.Error(), "1.5s [80/7 90/8]"},
		}, {
			name:  "owner gone",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}},
			gone:  8,
			want:  []string{"0s [80/7 90/8]", "250ms [80/7] closed 90/8"},
		}, {
			name:  "restarted",
			looks: []look{{sees: "80/7"}, {sees: "80/8"}},
			gone:  7,
			want:  []string{"0s [80/7]", "250ms [80/8] closed 80/7; opened 80/8"},
		}, {
			name:  "handed over to a new owner",
			looks: []look{{sees: "80/7"}, {sees: "80/8"}},
			want:  []string{"0s [80/7]", "250ms [80/7 80/8] opened 80/8", "500ms [80/8] closed 80/7"},
		},

		{
			name:  "error",
			looks: []look{{sees: "80/7"}, {err: errRead}, {err: errRead}, {err: errRead}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "250ms [80/7] stale: " + errRead.Error(), "3.25s [80/7]"},
		}, {
			name:  "another error",
			looks: []look{{sees: "80/7"}, {err: errRead}, {err: os.ErrPermission}, {sees: "80/7"}},
			want: []string{"0s [80/7]", "250ms [80/7] stale: " + errRead.Error(),
				"1.25s [80/7] stale: permission denied", "2.25s [80/7]"},
		}, {
			name:  "opened during an error",
			looks: []look{{sees: "80/7"}, {err: errRead}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7]", "250ms [80/7] stale: " + errRead.Error(), "1.25s [80/7 90/8] opened 90/8"},
		}, {
			name:  "error at first",
			looks: []look{{err: errRead}, {err: errRead}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [] stale: " + errRead.Error(), "2s [80/7]", "2.25s [80/7 90/8] opened 90/8"},
		}, {
			name:  "too slow",
			looks: []look{{sees: "80/7"}, {takes: time.Hour}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "10.25s [80/7] stale: " + errSlow.Error(), "11.25s [80/7]"},
		}, {
			name:  "too slow, and ignores its context: its late result is not believed",
			looks: []look{{sees: "80/7"}, {sees: "90/8", takes: 15 * time.Second, ignoresCancel: true}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "10.25s [80/7] stale: " + errSlow.Error(), "16.25s [80/7]"},
		}, {
			name:  "too slow at first",
			looks: []look{{sees: "80/7", takes: 15 * time.Second, ignoresCancel: true}, {sees: "80/7"}},
			want:  []string{"10s [] stale: " + errSlow.Error(), "16s [80/7]"},
		}, {
			name:  "expensive for a while",
			looks: append(slices.Repeat([]look{{sees: "80/7", takes: 30 * time.Millisecond}}, 6), look{sees: "80/7"}),
			want:  []string{"30ms [80/7]", "2.37s [80/7] slow: 4s", "14.43s [80/7]"},
		}, {
			name: "more and more expensive while something changes",
			looks: []look{{sees: "80/7", takes: 30 * time.Millisecond}, {sees: "80/7", takes: 50 * time.Millisecond},
				{sees: "80/7", takes: 50 * time.Millisecond},
				{sees: "80/7", takes: 50 * time.Millisecond}, {sees: "80/7 90/8", takes: 50 * time.Millisecond}},
			want: []string{"30ms [80/7]", "2.43s [80/7] slow: 4s", "6.48s [80/7 90/8] opened 90/8 slow: 8s"},
		}, {
			name:  "slow",
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/8", takes: 9 * time.Second}},
			want:  []string{"0s [80/7]", "9.25s [80/7 90/8] opened 90/8"},
		}, {
			name:  "missing before and after a scan that is too slow",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7"}, {takes: time.Hour}, {sees: "80/7"}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]", "10.5s [80/7 90/8] stale: " + errSlow.Error(), "11.5s [80/7 90/8]"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
}

// TestRunLostFamily has scans without any listener of an address family. A scan with a witness follows each at once.
func TestRunLostFamily(t *testing.T) {
	needIPv6(t)
	tests := []runTest{
		{
			name:  "empty and blind",
			looks: []look{{sees: "80/7 90/8"}, {}, {}, {}, {}, {sees: "80/7 90/8"}},
			want:  []string{"0s [80/7 90/8]", "250ms [80/7 90/8] stale: " + incomplete + "tcp4", "2.25s [80/7 90/8]"},
		}, {
			name:  "empty and blind, though the owner is gone",
			looks: []look{{sees: "80/7"}, {}, {}, {}, {witness: true}, {}},
			gone:  7,
			want:  []string{"0s [80/7]", "250ms [80/7] stale: " + incomplete + "tcp4", "1.25s [] closed 80/7"},
		}, {
			name:  "blind to both, again and again", // counts as one error
			looks: []look{{sees: "80/7 90/8@::1"}, {}},
			want:  []string{"0s [80/7 90/8@::1]", "250ms [80/7 90/8@::1] stale: " + incomplete + "tcp4 and tcp6"},
		}, {
			name:  "blind to IPv4",
			looks: []look{{sees: "80/7 90/8@::1"}, {sees: "90/8@::1"}, {sees: "90/8@::1"}, {sees: "80/7 90/8@::1"}},
			want: []string{"0s [80/7 90/8@::1]", "250ms [80/7 90/8@::1] stale: " + incomplete + "tcp4",
				"1.25s [80/7 90/8@::1]"},
		}, {
			name:  "blind to IPv6",
			looks: []look{{sees: "80/7 90/8@::"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7 90/8@::"}},
			want: []string{"0s [80/7 90/8@::]", "250ms [80/7 90/8@::] stale: " + incomplete + "tcp6",
				"1.25s [80/7 90/8@::]"},
		}, {
			name:  "blind to the IPv6 addresses of listeners that have others",
			looks: []look{{sees: "80/7@127.0.0.1,::1"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7@127.0.0.1,::1"}},
			want: []string{"0s [80/7@127.0.0.1,::1]", "250ms [80/7@127.0.0.1,::1] stale: " + incomplete + "tcp6",
				"1.25s [80/7@127.0.0.1,::1]"},
		}, {
			name:  "empty, and the next scan fails",
			looks: []look{{sees: "80/7"}, {}, {err: errRead}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "250ms [80/7] stale: " + errRead.Error(), "1.25s [80/7]"},
		}, {
			name:  "empty, and the next scan is too slow",
			looks: []look{{sees: "80/7"}, {}, {takes: time.Hour}, {sees: "80/7"}},
			want:  []string{"0s [80/7]", "10.25s [80/7] stale: " + errSlow.Error(), "11.25s [80/7]"},
		}, {
			name:  "empty for an instant",
			looks: []look{{sees: "80/7"}, {}, {sees: "80/7", witness: true}, {sees: "80/7"}},
			want:  []string{"0s [80/7]"},
		}, {
			name:  "truly empty",
			looks: []look{{sees: "80/7 90/8@::1"}, {}, {witness: true}, {}, {witness: true}, {}},
			want:  []string{"0s [80/7 90/8@::1]", "500ms [] closed 80/7; closed 90/8@::1"},
		}, {
			name:  "truly empty, and the owner is gone",
			looks: []look{{sees: "80/7"}, {}, {witness: true}, {}},
			gone:  7,
			want:  []string{"0s [80/7]", "250ms [] closed 80/7"},
		}, {
			name: "truly without IPv6",
			looks: []look{{sees: "80/7@127.0.0.1,::1 90/8@::1"}, {sees: "80/7"}, {sees: "80/7", witness: true},
				{sees: "80/7"}, {sees: "80/7", witness: true}, {sees: "80/7"}},
			want: []string{"0s [80/7@127.0.0.1,::1 90/8@::1]", "250ms [80/7 90/8@::1]",
				"500ms [80/7] closed 90/8@::1"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, tt.run)
	}
	if left := own(t); len(left) > 0 {
		t.Errorf("witnesses still listen: %s", format(left...))
	}
}

func TestRunInterval(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name     string
		interval time.Duration
		looks    []look
		skip     int
		want     []time.Duration // start times of the scans, without the skipped ones
	}{
		{"default", 0, []look{{}}, 0, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}},
		{"default, after half a minute", 0, []look{{}}, 28,
			[]time.Duration{28_000 * ms, 29_000 * ms, 30_000 * ms, 32_000 * ms, 34_000 * ms}},
		{"negative", -1, []look{{}}, 0, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}},
		{"given", 300 * ms, []look{{}}, 0, []time.Duration{0, 300 * ms, 600 * ms, 900 * ms}},
		{"given, after half a minute", 300 * ms, []look{{}}, 99,
			[]time.Duration{29_700 * ms, 30_000 * ms, 30_600 * ms, 31_200 * ms}},
		{"long, after half a minute", 15 * time.Second, []look{{}}, 0,
			[]time.Duration{0, 15_000 * ms, 30_000 * ms, 45_000 * ms}},
		{"slow scans", 0, []look{{takes: 40 * ms}}, 0,
			[]time.Duration{0, 1040 * ms, 2080 * ms, 3120 * ms, 7160 * ms, 11_200 * ms}},
		{"slow scans at first", 0, []look{{takes: 3000 * ms}, {takes: 400 * ms}, {takes: 400 * ms}, {}}, 0,
			[]time.Duration{0, 4000 * ms, 5400 * ms, 6800 * ms, 7800 * ms}},
		{"after errors", 0, []look{{err: errRead}}, 0, []time.Duration{0, 1000 * ms, 2000 * ms, 3000 * ms}},
		{"after the baseline", 0, []look{{sees: "80/7"}}, 0, []time.Duration{0, 250 * ms, 1250 * ms, 2250 * ms}},
		{"after news", 0, []look{{}, {}, {sees: "80/7"}}, 0,
			[]time.Duration{0, 1000 * ms, 2000 * ms, 2250 * ms, 3250 * ms}},
		{"after news that came late", 0, append(slices.Repeat([]look{{}}, 35), look{sees: "80/7"}), 33,
			[]time.Duration{36_000 * ms, 38_000 * ms, 40_000 * ms, 40_250 * ms, 41_250 * ms}},
		{"in doubt", 0, []look{{sees: "80/7 90/8"}, {sees: "80/7 90/8"}, {sees: "80/7"}}, 0,
			[]time.Duration{0, 250 * ms, 1250 * ms, 1500 * ms, 1750 * ms, 2750 * ms}},
		{"in doubt with a short interval", 100 * ms, []look{{sees: "80/7 90/8"}, {sees: "80/7"}}, 0,
			[]time.Duration{0, 100 * ms, 200 * ms, 300 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, tt.looks...)
				m.follow(&Watcher{Interval: tt.interval, Scan: m.scan, gone: func(server.Listener) bool { return false }},
					50*time.Second)
				m.mu.Lock()
				defer m.mu.Unlock()
				if got := m.began[tt.skip:min(len(m.began), tt.skip+len(tt.want))]; !slices.Equal(got, tt.want) {
					t.Errorf("scans began at %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestRunWake requests scans. Without requests, scans come at 0, 1 and 2 seconds.
func TestRunWake(t *testing.T) {
	const ms = time.Millisecond
	times := func(n int, from, step time.Duration) []time.Duration {
		var list []time.Duration
		for i := range n {
			list = append(list, from+time.Duration(i)*step)
		}
		return list
	}
	tests := []struct {
		name  string
		takes time.Duration
		asks  []time.Duration // times of the requests
		want  []time.Duration // start times of the scans in the first two seconds
	}{
		{"never", 0, nil, []time.Duration{0, 1000 * ms, 2000 * ms}},
		{"between scans", 0, []time.Duration{300 * ms}, []time.Duration{0, 300 * ms, 1300 * ms}},
		{"right after a scan", 0, []time.Duration{5 * ms}, []time.Duration{0, 20 * ms, 1020 * ms}},
		{"right before a scan", 0, []time.Duration{999 * ms}, []time.Duration{0, 999 * ms, 1999 * ms}},
		{"twice", 0, []time.Duration{300 * ms, 301 * ms}, []time.Duration{0, 300 * ms, 320 * ms, 1320 * ms}},
		{"twice right after a scan", 0, []time.Duration{5 * ms, 10 * ms}, []time.Duration{0, 20 * ms, 1020 * ms}},
		{"during a scan", 500 * ms, []time.Duration{300 * ms}, []time.Duration{0, 520 * ms}},
		{"twice during a scan", 500 * ms, []time.Duration{100 * ms, 300 * ms}, []time.Duration{0, 520 * ms}},
		{"during a scan and during the next", 300 * ms, []time.Duration{100 * ms, 400 * ms},
			[]time.Duration{0, 320 * ms, 640 * ms, 1940 * ms}},
		{"storm", 0, times(1000, 100*ms, ms), append([]time.Duration{0}, times(51, 100*ms, 20*ms)...)},
		{"storm during slow scans", 480 * ms, times(1000, 100*ms, ms),
			[]time.Duration{0, 500 * ms, 1000 * ms, 1500 * ms}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMachine(t, look{takes: tt.takes})
				wake := make(chan struct{})
				go func() {
					for _, at := range tt.asks {
						time.Sleep(at - time.Since(m.start))
						wake <- struct{}{}
					}
				}()
				m.follow(&Watcher{Scan: m.scan, Wake: wake}, 2*time.Second+ms/2)
				m.mu.Lock()
				defer m.mu.Unlock()
				if !slices.Equal(m.began, tt.want) {
					t.Errorf("scans began at %v, want %v", m.began, tt.want)
				}
			})
		})
	}
}

// TestRunSlowReader has a reader that takes the first update and then pauses.
func TestRunSlowReader(t *testing.T) {
	tests := []struct {
		name  string
		looks []look
		want  string // the next update, read after 9.5 seconds or later
	}{
		{
			name: "several changes",
			looks: []look{{sees: "80/7 90/8"}, {sees: "80/7 90/8 100/9"}, {sees: "80/7 100/9"},
				{sees: "70/6 80/7 100/9"}},
			want: "9.5s [70/6 80/7 100/9] closed 90/8; opened 70/6; opened 100/9",
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
			looks: []look{{sees: "80/7"}, {sees: "80/7 90/8"}, {err: errRead}, {sees: "80/7@0.0.0.0"}, {sees: "80/7"},
				{sees: "80/7"},
				{sees: "80/7"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7"}, {sees: "80/7"},
				{sees: "80/7"}, {sees: "80/7 100/9"}},
			want: "10s [80/7 100/9] opened 100/9",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := newMachine(t, tt.looks...)
				updates := make(chan Update)
				w := &Watcher{Scan: m.scan, gone: func(server.Listener) bool { return true }}
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
		reads bool // a reader receives the updates
	}{
		{"between scans", look{sees: "80/7"}, true},
		{"while it scans", look{takes: 5 * time.Second}, true},
		{"while it scans and the scan ignores its context", look{takes: 5 * time.Second, ignoresCancel: true}, true},
		{"while it delivers", look{sees: "80/7"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // synctest waits for all goroutines
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
					t.Fatal("Run returned before the end of its context")
				}
				cancel()
				synctest.Wait()
				if !ended {
					t.Error("Run is still running after the end of its context")
				}
				time.Sleep(tt.look.takes) // a scan that ignores its context ends after this time
				if len(updates) > 1 || len(updates) == 1 && (<-updates).Err != nil {
					t.Error("the end was delivered as an error")
				}
			})
		})
	}
}
