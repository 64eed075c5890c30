package watcher

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// after performs scans that each take this long and returns the pauses after them. An asterisk marks a stretched pause.
// The scans with the given indexes bring news.
func (p *pace) after(took time.Duration, times int, news ...int) (pauses []string) {
	for i := range times {
		time.Sleep(p.pause + took)
		stretched := p.scanned(took, slices.Contains(news, i))
		text := p.pause.String()
		if stretched > 0 {
			text += "*"
		}
		if stretched > 0 && stretched != p.pause {
			text += " but " + stretched.String()
		}
		pauses = append(pauses, text)
	}
	return pauses
}

func TestPace(t *testing.T) {
	const ms = time.Millisecond
	type phase struct {
		took time.Duration
		n    int
		news []int
		want string // "1s×3" for three in a row
	}
	tests := []struct {
		name     string
		interval time.Duration
		phases   []phase
	}{
		{"calm", time.Second, []phase{{0, 40, nil, "1s×30 2s×10"}}},
		{"news", time.Second, []phase{{0, 6, []int{0, 3, 4}, "250ms 1s×2 250ms×2 1s"}}},
		{"news after a long time", time.Second,
			[]phase{{0, 35, nil, "1s×30 2s×5"}, {0, 32, []int{0}, "250ms 1s×30 2s"}}},
		{"news just before half a minute", time.Second, []phase{{0, 62, []int{30}, "1s×30 250ms 1s×30 2s"}}},

		{"short interval", 100 * ms, []phase{{0, 302, []int{0}, "100ms×300 200ms×2"}}},
		{"interval shorter than a request's pause", ms, []phase{{0, 3, []int{1}, "1ms×3"}}},
		{"interval of 1.5 seconds", 1500 * ms, []phase{{0, 23, []int{1}, "1.5s 250ms 1.5s×20 2s"}}},
		{"long interval", 5 * time.Second, []phase{{0, 10, []int{4}, "5s×4 250ms 5s×5"}}},

		{"first scan slow", time.Second, []phase{{time.Second, 1, []int{0}, "250ms"}, {0, 5, nil, "1s×5"}}},
		{"first scans slow", time.Second, []phase{{time.Second, 3, nil, "1s×3"}, {0, 3, nil, "1s×3"}}},
		{"one scan slow", time.Second,
			[]phase{{0, 5, nil, "1s×5"}, {9 * time.Second, 1, nil, "1s"}, {0, 5, nil, "1s×5"}}},
		{"three scans slow", time.Second,
			[]phase{{0, 5, nil, "1s×5"}, {time.Second, 3, nil, "1s×3"}, {0, 1, nil, "1s"}}},

		{"a hundredth of the time", time.Second, []phase{{10 * ms, 6, nil, "1s×6"}}},
		{"a little more", time.Second, []phase{{15 * ms, 6, nil, "1s×3 1.485s×3"}}},
		{"a little more with news", time.Second, []phase{{15 * ms, 6, []int{1, 5}, "1s 250ms 1s 1.485s×3"}}},
		{"two hundredths", time.Second, []phase{{20 * ms, 6, nil, "1s×3 1.98s×3"}}},
		{"expensive", time.Second,
			[]phase{{21 * ms, 5, nil, "1s×3 4s*×2"}, {30 * ms, 4, []int{1}, "4s*×4"}, {40 * ms, 4, nil, "4s*×4"},
				{41 * ms, 5, nil, "4s*×3 8s*×2"}}},
		{"expensive and then cheap", time.Second,
			[]phase{{100 * ms, 5, nil, "1s×3 16s*×2"}, {ms, 2, []int{1}, "2s 250ms"}}},
		{"expensive for a short interval", 100 * ms, []phase{{10 * ms, 5, []int{4}, "100ms×3 990ms×2"}}},
		{"expensive for a long interval", 10 * time.Second,
			[]phase{{100 * ms, 5, nil, "10s×5"}, {120 * ms, 4, nil, "10s×3 16s*"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pace{interval: tt.interval}
				for i, phase := range tt.phases {
					if got := repeats(p.after(phase.took, phase.n, phase.news...)); got != phase.want {
						t.Errorf("phase %d, %d scans of %v:\n got %s\nwant %s", i, phase.n, phase.took, got, phase.want)
					}
				}
			})
		})
	}
}

// repeats writes a word that occurs n times in a row once, with ×n.
func repeats(words []string) string {
	var list []string
	for i := 0; i < len(words); {
		j := i
		for j < len(words) && words[j] == words[i] {
			j++
		}
		if j-i > 1 {
			list = append(list, fmt.Sprintf("%s×%d", words[i], j-i))
		} else {
			list = append(list, words[i])
		}
		i = j
	}
	return strings.Join(list, " ")
}

func TestPaceAtOnce(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name  string
		costs []time.Duration
		since time.Duration // since the last scan
		want  time.Duration
	}{
		{"nothing scanned yet", nil, 0, 0},
		{"just scanned", []time.Duration{0}, 0, 20 * ms},
		{"scanned a little ago", []time.Duration{0}, 15 * ms, 5 * ms},
		{"scanned long ago", []time.Duration{0}, time.Second, 0},
		{"first scan slow", []time.Duration{time.Second}, 0, 20 * ms},
		{"one scan slow", []time.Duration{ms, ms, time.Second, ms}, 0, 20 * ms},
		{"expensive", []time.Duration{10 * ms, 15 * ms, 10 * ms, 20 * ms}, 30 * ms, 60 * ms},
		{"expensive and long ago", []time.Duration{10 * ms, 15 * ms, 10 * ms, 20 * ms}, 90 * ms, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pace{interval: time.Second}
				for _, took := range tt.costs {
					p.scanned(took, false)
				}
				time.Sleep(tt.since)
				if got := p.atOnce(false); got != tt.want {
					t.Errorf("%v after scans of %v: %v, want %v", tt.since, tt.costs, got, tt.want)
				}
			})
		})
	}
}

// TestPaceSpent spends CPU time and checks the pauses after the following scans.
func TestPaceSpent(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name   string
		spent  []time.Duration // CPU time of consecutive scans
		scans  int             // number of scans after that
		pauses string
		asked  time.Duration // pause before a scan that the system requests then; a person always waits 20 ms
	}{
		{"nothing", nil, 3, "1s×3", 20 * ms},
		{"what is saved", []time.Duration{cpuBudget}, 3, "1s×4", 20 * ms},
		{"a little more", []time.Duration{cpuBudget / 2, cpuBudget / 2, 5 * ms}, 3, "1s×6", 20 * ms},
		{"much more", []time.Duration{cpuBudget, 40 * ms, 40 * ms}, 6, "1s 4s*×5 1s×3", 4 * time.Second},
		{"more each time", []time.Duration{cpuBudget, 60 * ms, 60 * ms, 60 * ms, 60 * ms}, 3, "1s 8s*×5 2s×2",
			20 * ms},
		{"without any measure", []time.Duration{time.Hour}, 3, "16s*×2 2s×2", 16 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := pace{interval: time.Second}
				p.spent(time.Hour) // the first scan is free
				p.after(0, 1)
				var pauses []string
				for _, cpu := range tt.spent {
					time.Sleep(p.pause)
					p.spent(cpu)
					stretched := p.scanned(0, false)
					text := p.pause.String()
					if stretched > 0 {
						text += "*"
					}
					pauses = append(pauses, text)
				}
				if got := p.atOnce(false); got != tt.asked {
					t.Errorf("a request of the system waits for %v, want %v", got, tt.asked)
				}
				if got := p.atOnce(true); got != 20*ms {
					t.Errorf("a request of a person waits for %v", got)
				}
				pauses = append(pauses, p.after(0, tt.scans)...)
				if got := repeats(pauses); got != tt.pauses {
					t.Errorf("got %s, want %s", got, tt.pauses)
				}
			})
		})
	}
}

// TestPaceSaves overspends for an hour and checks the total CPU time.
func TestPaceSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 50 * time.Millisecond
		p, start := pace{interval: time.Second}, time.Now()
		p.after(0, 1)
		all := time.Duration(0)
		for time.Since(start) < time.Hour {
			time.Sleep(p.atOnce(false))
			p.spent(each)
			p.scanned(0, true)
			all += each
		}
		if most := cpuBudget + time.Hour/share + each; all > most || all < most/2 {
			t.Errorf("spent %v, want no more than %v", all, most)
		}
	})
}

// TestPaceOverslept has the computer sleep or this program stop, between scans and within one. Only the clock counts
// that keeps running meanwhile.
func TestPaceOverslept(t *testing.T) {
	type wait struct{ expected, passed time.Duration }
	tests := []struct {
		name  string
		waits []wait
		want  bool
	}{
		{"in time", []wait{{time.Second, time.Second}, {scanLimit, time.Millisecond}}, false},
		{"a little late", []wait{{time.Second, 31 * time.Second}, {scanLimit, time.Millisecond}}, false},
		{"after a pause that was long", []wait{{time.Minute, time.Minute}, {scanLimit, time.Millisecond}}, false},
		{"after a scan that hung for an hour",
			[]wait{{time.Second, time.Second}, {scanLimit, scanLimit}, {0, time.Hour}}, false},
		{"a sleep between scans", []wait{{time.Second, 32 * time.Second}, {scanLimit, time.Millisecond}}, true},
		{"a night", []wait{{time.Second, 10 * time.Hour}, {scanLimit, time.Millisecond}}, true},
		{"stopped within a scan", []wait{{time.Second, time.Second}, {scanLimit, time.Minute}}, true},
		{"stopped within a scan that takes too long",
			[]wait{{time.Second, time.Second}, {scanLimit, time.Minute}, {0, time.Second}}, true},
	}
	for _, tt := range tests {
		now := 5 * time.Hour
		p := pace{clock: func() time.Duration { return now }}
		for _, w := range tt.waits {
			p.expect(w.expected)
			now += w.passed
		}
		p.expect(time.Second)
		if p.overslept() != tt.want {
			t.Errorf("%s: overslept: %v", tt.name, !tt.want)
		}
		if p.overslept() {
			t.Errorf("%s: overslept once more", tt.name)
		}
	}
	before := sinceBoot()
	time.Sleep(10 * time.Millisecond)
	if passed := sinceBoot() - before; passed <= 0 || passed > time.Hour {
		t.Errorf("%v have passed within 10 ms", passed)
	}
}
