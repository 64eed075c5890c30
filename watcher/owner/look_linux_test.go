package owner

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// stat returns the text of a /proc/PID/stat with the given fields.
func stat(name, state, parent, threads, start string) string {
	return fmt.Sprintf("4711 (%s) %s %s 4711 4711 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 %s 0 %s 1000 200 18446744073709551615 1 1 0",
		name, state, parent, threads, start)
}

func TestParseStat(t *testing.T) {
	tests := []struct {
		name, stat string
		want       Vitals
		err        string // part of the error
	}{
		{name: "running", stat: stat("server", "R", "1", "1", "123456"),
			want: Vitals{Name: "server", Start: 123456, Parent: 1}},
		{name: "sleeping", stat: stat("server", "S", "4000", "8", "5"),
			want: Vitals{Name: "server", Start: 5, Parent: 4000}},
		{name: "stopped", stat: stat("server", "T", "4000", "1", "5"),
			want: Vitals{Name: "server", Start: 5, Parent: 4000}},
		{name: "init", stat: stat("init", "S", "0", "1", "0"), want: Vitals{Name: "init"}},
		{name: "largest start", stat: stat("server", "S", "1", "1", "18446744073709551615"),
			want: Vitals{Name: "server", Start: math.MaxUint64, Parent: 1}},
		{name: "zombie", stat: stat("server", "Z", "1", "1", "5"),
			want: Vitals{Name: "server", Start: 5, Parent: 1, Ended: true}},
		{name: "zombie without threads", stat: stat("server", "Z", "1", "0", "5"),
			want: Vitals{Name: "server", Start: 5, Parent: 1, Ended: true}},
		{name: "zombie main thread among others", stat: stat("server", "Z", "1", "2", "5"),
			want: Vitals{Name: "server", Start: 5, Parent: 1}},
		{name: "dead", stat: stat("server", "X", "1", "1", "5"),
			want: Vitals{Name: "server", Start: 5, Parent: 1, Ended: true}},
		{name: "space in the name", stat: stat("tmux: server", "S", "1", "1", "5"),
			want: Vitals{Name: "tmux: server", Start: 5, Parent: 1}},
		{name: "name like a stat", stat: stat("a) Z 9 9 (b", "S", "1", "1", "5"),
			want: Vitals{Name: "a) Z 9 9 (b", Start: 5, Parent: 1}},
		{name: "newline in the name", stat: stat("a\nb", "S", "1", "1", "5"),
			want: Vitals{Name: "a\nb", Start: 5, Parent: 1}},
		{name: "no name", stat: stat("", "S", "1", "1", "5"), want: Vitals{Start: 5, Parent: 1}},
		{name: "newline at the end", stat: stat("server", "S", "1", "1", "5") + "\n",
			want: Vitals{Name: "server", Start: 5, Parent: 1}},

		{name: "empty", stat: "", err: "0 fields"},
		{name: "cut off in the name", stat: "4711 (ser", err: "2 fields"},
		{name: "cut off behind the name", stat: "4711 (server) ", err: "0 fields"},
		{name: "cut off before the start", stat: "4711 (server) S" + strings.Repeat(" 1", 18), err: "19 fields"},
		{name: "no number for a parent", stat: stat("server", "S", "x", "1", "5"), err: "parent"},
		{name: "too large a parent", stat: stat("server", "S", "4294967297", "1", "5"), err: "parent"},
		{name: "no number for threads", stat: stat("server", "S", "1", "x", "5"), err: "threads"},
		{name: "negative start", stat: stat("server", "S", "1", "1", "-5"), err: "start"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseStat([]byte(tt.stat))
			if got != tt.want || (err != nil) != (tt.err != "") || err != nil &&
				!strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: got %+v, %v, want %+v, %q", tt.stat, got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("server", int32(1), uint64(5), []byte("4711 (server) S 1"))
	f.Add("a) Z 9 9 (b", int32(math.MaxInt32), uint64(math.MaxUint64), []byte(stat("server", "S", "x", "1", "5")))
	f.Add("\n\x00) ", int32(-1), uint64(0), []byte(")))"))
	f.Fuzz(func(t *testing.T, name string, parent int32, start uint64, raw []byte) {
		text := stat(name, "S", fmt.Sprint(parent), "1", fmt.Sprint(start))
		if got, err := ParseStat([]byte(text)); err != nil ||
			got != (Vitals{Name: name, Start: start, Parent: parent}) {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
		if got, err := ParseStat(raw); err != nil && got != (Vitals{}) {
			t.Errorf("%q: got %+v along with %v", raw, got, err)
		}
	})
}

func TestLook(t *testing.T) {
	v, err := ReadVitals(int32(os.Getpid()))
	if err != nil || v.Ended || int(v.Parent) != os.Getppid() || v.Start == 0 {
		t.Errorf("this process: %+v, %v, want the parent %d", v, err, os.Getppid())
	}
	if v, err := ReadVitals(math.MaxInt32); !errors.Is(err, os.ErrProcessDone) { // above any limit for PIDs
		t.Errorf("no process: %+v, %v, want %v", v, err, os.ErrProcessDone)
	}
}

// TestIdentifyForGood shows that the identity of a new process is final: no later process can get the same one.
func TestIdentifyForGood(t *testing.T) {
	for range 20 {
		cmd := exec.Command("sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p, err := Identify(int32(cmd.Process.Pid))
		again := waitForNextTick(p.Start)
		cmd.Process.Kill()
		cmd.Wait()
		if err != nil || again {
			t.Fatalf("%+v, %v: another process could have this start", p, err)
		}
	}
}

func TestOtherProgram(t *testing.T) {
	tests := []struct {
		then, now string
		want      bool
	}{
		{"/usr/bin/node", "/usr/bin/node", false},
		{"/usr/bin/node", "/usr/bin/node (deleted)", false}, // after an upgrade
		{"/tmp/main (deleted)", "/tmp/main", false},
		{"/usr/bin/node", "/usr/bin/postgres", true},
		{"/usr/bin/node", "/usr/bin/postgres (deleted)", true},
		{"", "/usr/bin/node", false},
		{"/usr/bin/node", "", false},
	}
	for _, tt := range tests {
		if got := otherProgram(tt.then, tt.now); got != tt.want {
			t.Errorf("from %q to %q: %v, want %v", tt.then, tt.now, got, tt.want)
		}
	}
}
