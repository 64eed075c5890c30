package owner

import (
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatch watches two signalled processes: this one, still alive, and one that has ended. A scan returns the owners
// of the port at that time.
func TestWatch(t *testing.T) {
	alive, err := Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	ended := Process{PID: alive.PID, Start: alive.Start + 1}
	neighbour, newcomer, unknown := Process{PID: 7, Start: 1}, Process{PID: 8, Start: 1}, Process{}
	const ms = time.Millisecond
	never := time.Hour
	errScan := errors.New("no table")

	type port struct {
		until   time.Duration
		holders []Process
		err     error
	}
	stays := Result{Outcome: StillRunning, Left: []Process{alive}}
	tests := []struct {
		name   string
		p      Process
		before []Process
		ports  []port
		want   Result
		after  time.Duration
		scans  int // at most
	}{
		{"stays", alive, []Process{alive}, []port{{never, []Process{alive}, nil}}, stays, Wait, 5},
		{"stays beside another", alive, []Process{alive, neighbour}, []port{{never, []Process{neighbour, alive}, nil}},
			stays, Wait, 5},
		{"lets go", alive, []Process{alive}, []port{{2500 * ms, []Process{alive}, nil}, {never, nil, nil}},
			Result{Outcome: Freed}, 3100 * ms, 4},
		{"lets go, another stays", alive, []Process{alive, neighbour}, []port{{never, []Process{neighbour}, nil}},
			Result{Outcome: Shared, Left: []Process{neighbour}}, 1100 * ms, 2},
		{"one scan lacks it", alive, []Process{alive}, []port{{1000 * ms, nil, nil}, {never, []Process{alive}, nil}},
			stays, Wait, 5},
		{"hands over", alive, []Process{alive}, []port{{never, []Process{newcomer}, nil}},
			Result{Outcome: Taken, Left: []Process{newcomer}}, 1100 * ms, 2},
		{"one scan fails", alive, []Process{alive}, []port{{1000 * ms, nil, errScan}, {never, nil, nil}},
			Result{Outcome: Freed}, 2100 * ms, 3},

		{"ends", ended, []Process{ended}, []port{{never, nil, nil}}, Result{Outcome: Freed, Ended: true}, 50 * ms, 1},
		{"ends, another stays", ended, []Process{neighbour, ended}, []port{{never, []Process{neighbour}, nil}},
			Result{Outcome: Shared, Ended: true, Left: []Process{neighbour}}, 50 * ms, 1},
		{"ends, another takes over", ended, []Process{ended}, []port{{never, []Process{newcomer}, nil}},
			Result{Outcome: Taken, Left: []Process{newcomer}, Ended: true}, 100 * ms, 2},
		{"ends, somebody takes over", ended, []Process{ended}, []port{{never, []Process{unknown}, nil}},
			Result{Outcome: Taken, Ended: true, Left: []Process{unknown}}, 100 * ms, 2},
		{"ends, another takes over for an instant", ended, []Process{ended},
			[]port{{50 * ms, []Process{newcomer}, nil}, {never, nil, nil}}, Result{Outcome: Freed, Ended: true},
			100 * ms, 2},
		{"ends, its PID is used again", ended, []Process{ended}, []port{{never, []Process{alive}, nil}},
			Result{Outcome: Taken, Left: []Process{alive}, Ended: true}, 100 * ms, 2},
		{"ends, the first scan is old", ended, []Process{ended},
			[]port{{50 * ms, []Process{ended}, nil}, {never, nil, nil}}, Result{Outcome: Freed, Ended: true}, 100 * ms,
			2},
		{"ends, the first scan fails", ended, []Process{ended}, []port{{50 * ms, nil, errScan}, {never, nil, nil}},
			Result{Outcome: Freed, Ended: true}, 100 * ms, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, scans := time.Now(), 0
				got := watch(t.Context(), []Process{tt.p}, nil, tt.before, Wait,
					func(context.Context) ([]Process, error) {
						scans++
						for _, now := range tt.ports {
							if time.Since(start) <= now.until {
								return now.holders, now.err
							}
						}
						return nil, nil
					})
				if !reflect.DeepEqual(got, tt.want) || time.Since(start) != tt.after {
					t.Errorf("got %+v after %v, want %+v after %v", got, time.Since(start), tt.want, tt.after)
				}
				if scans > tt.scans {
					t.Errorf("%d scans, want no more than %d", scans, tt.scans)
				}
			})
		})
	}
}

// TestJudge has groups with several processes. Some of them are left.
func TestJudge(t *testing.T) {
	a, b, c := Process{PID: 1, Start: 1}, Process{PID: 2, Start: 1}, Process{PID: 3, Start: 1}
	for name, tt := range map[string]struct {
		group, before, after []Process
		want                 Result
	}{
		"all are left": {[]Process{a, b}, []Process{a, b}, []Process{a, b},
			Result{Outcome: StillRunning, Left: []Process{a, b}}},
		"one is left": {[]Process{a, b}, []Process{a, b}, []Process{c, b},
			Result{Outcome: StillRunning, Left: []Process{b}}},
		"none is left": {[]Process{a, b}, []Process{a, b}, nil, Result{Outcome: Freed}},
		"another one stays": {[]Process{a, b}, []Process{a, b, c}, []Process{c},
			Result{Outcome: Shared, Left: []Process{c}}},
		"another one comes": {[]Process{a}, []Process{a, b}, []Process{b, c},
			Result{Outcome: Taken, Left: []Process{c}}},
		"nobody was there": {nil, nil, []Process{{}}, Result{Outcome: Taken, Left: []Process{{}}}},
		"an unknown stays": {[]Process{a}, []Process{{}, a}, []Process{{}},
			Result{Outcome: Shared, Left: []Process{{}}}},
	} {
		if got := Judge(tt.group, tt.before, tt.after); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestGroup(t *testing.T) {
	a, b, c := Process{PID: 1}, Process{PID: 2}, Process{PID: 3}
	for _, tt := range []struct {
		g     Group
		first int32
		and   string
	}{
		{Group{Workers: []Process{a}}, 1, ""},
		{Group{Workers: []Process{b, a}}, 2, " and 1 worker"},
		{Group{Workers: []Process{b, a, c}}, 2, " and 2 workers"},
		{Group{Master: c, Workers: []Process{a}}, 3, " and 1 worker"},
		{Group{Master: c, Workers: []Process{a, b}}, 3, " and 2 workers"},
	} {
		if first, and := tt.g.First().PID, tt.g.And(); first != tt.first || and != tt.and {
			t.Errorf("%+v: got %d%s, want %d%s", tt.g, first, and, tt.first, tt.and)
		}
	}
}

func TestWatchCancelled(t *testing.T) {
	p, err := Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		got := watch(ctx, []Process{p}, nil, []Process{p}, Wait,
			func(context.Context) ([]Process, error) { return []Process{p}, nil })
		if want := (Result{Outcome: StillRunning, Left: []Process{p}}); !reflect.DeepEqual(got, want) ||
			time.Since(start) != 300*time.Millisecond {
			t.Errorf("got %+v after %v, want %+v at the end of the context", got, time.Since(start), want)
		}
	})
}

// TestWatchEnd runs out of time during a scan, and after a scan without confirmation. In neither case the port counts
// as free.
func TestWatchEnd(t *testing.T) {
	p, err := Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, took := range []time.Duration{240 * time.Millisecond, 2200 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			got := watch(t.Context(), []Process{p}, nil, []Process{p}, Wait,
				func(ctx context.Context) ([]Process, error) {
					select {
					case <-time.After(took):
					case <-ctx.Done():
						return nil, nil // as if nobody held it
					}
					if time.Since(start) > 4500*time.Millisecond && took < time.Second {
						return nil, nil
					}
					return []Process{p}, nil
				})
			if want := (Result{Outcome: StillRunning, Left: []Process{p}}); !reflect.DeepEqual(got, want) {
				t.Errorf("scans of %v: got %+v, want %+v", took, got, want)
			}
		})
	}
}

// TestWatchBlind has only failing scans. The result is their error.
func TestWatchBlind(t *testing.T) {
	p, err := Identify(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		errScan := errors.New("no table")
		got := watch(t.Context(), []Process{p}, nil, []Process{p}, Wait,
			func(context.Context) ([]Process, error) { return nil, errScan })
		if got.Outcome != Unclear || !errors.Is(got.Err, errScan) ||
			!strings.Contains(got.Err.Error(), "who holds the port") {
			t.Errorf("got %+v, want the error %q", got, errScan)
		}
	})
}
