package history

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// born is the start time of the processes, before the start of synctest's clock.
var born = time.Date(1999, time.December, 31, 12, 0, 0, 0, time.UTC)

// serves returns a listener of a process, or of an unknown owner if pid is 0.
func serves(port uint16, pid int32) server.Listener {
	l := server.Listener{Port: port, Addrs: []netip.Addr{netip.IPv6Loopback()}}
	if pid > 0 {
		l.Owner = owner.Process{PID: pid, Start: uint64(pid), Name: "node", Exe: "/usr/bin/node", Dir: "/srv/shop",
			Since: born}
	}
	return l
}

// update returns an update with events at a time.
func update(at time.Time, events ...watcher.Event) watcher.Update {
	return watcher.Update{Snapshot: watcher.Snapshot{Time: at}, Events: events}
}

func closes(l server.Listener, why watcher.Reason) watcher.Event {
	return watcher.Event{Kind: watcher.Closed, Server: server.Alone(l), Reason: why}
}

func opens(l server.Listener) watcher.Event {
	return watcher.Event{Kind: watcher.Opened, Server: server.Alone(l)}
}

func follows(kind watcher.Kind, l, before server.Listener, why watcher.Reason) watcher.Event {
	return watcher.Event{Kind: kind, Server: server.Alone(l), Before: server.Alone(before), Reason: why}
}

var (
	ended   = watcher.Reason{Cause: watcher.OwnerEnded}
	crashed = watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: 1}}
	ctrlC   = watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Killed, Signal: "SIGINT"}}
	goesOn  = watcher.Reason{Cause: watcher.OwnerGoesOn}
)

// A desk is a recorder at work inside a synctest bubble.
type desk struct {
	t *testing.T
	*Recorder
	leave func() // ends the recorder and waits for it
}

// newDesk starts a recorder.
func newDesk(t *testing.T, file string) desk {
	ctx, cancel := context.WithCancel(t.Context())
	d := desk{t: t, Recorder: newRecorder(file)}
	d.boot, d.handedOut = "today", func(port uint16) bool { return port >= 32768 }
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Run(ctx)
	}()
	d.leave = func() { cancel(); <-done }
	t.Cleanup(d.leave)
	return d
}

// read returns the history for another process now.
func (d desk) read() History {
	d.t.Helper()
	seen, _, err := load(d.file, "today", time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	return History{seen}
}

func (d desk) wait(long time.Duration) {
	time.Sleep(long)
	synctest.Wait()
}

// perform runs a test in fake time.
func perform(t *testing.T, test func(t *testing.T, file string)) {
	file := filepath.Join(t.TempDir(), "porttray", name)
	synctest.Test(t, func(t *testing.T) { test(t, file) })
}

func TestRecorderRemembers(t *testing.T) {
	vite := serves(5173, 4711)
	vite.Facts.Project, vite.Facts.Tool = project.Project{Name: "shop", Dir: "/srv/shop"},
		facts.Tool{Name: "Vite", Kind: facts.Server}
	vite.Facts.Command = "cd /srv/shop && TOKEN=hunter2 vite --key hunter2"
	vite.Owner.Exe = "/opt/hunter2/node"
	db := serves(5432, 0)
	db.Owner.Dir = "/var/lib/docker"
	db.Container = engine.Container{ID: "abcdef", Name: "shop-db-1", Image: "postgres:16",
		Endpoint: "/run/hunter2.sock"}
	worst := serves(6666, 66)
	worst.Owner.Name, worst.Owner.Dir = hostile, "/tmp/"+hostile
	worst.Facts.Project, worst.Facts.Tool, worst.Container.Name = project.Project{Name: hostile},
		facts.Tool{Name: hostile}, hostile
	long := vite
	long.Facts.Project.Dir, long.Restarts = "/"+strings.Repeat("d", 5000), 2

	shop := Past{PID: 4711, Name: "shop · Vite", Project: "shop", Tool: "Vite", Process: "node", Directory: "/srv/shop"}
	node := Past{PID: 1, Name: "node", Process: "node", Directory: "/srv/shop"}
	// is returns the expected record of a listener without the port and the times.
	is := func(p Past, reason string, restarts int) Past {
		p.Reason, p.Restarts = reason, restarts
		return p
	}
	much := is(shop, "ended", 2)
	much.Directory = "/" + strings.Repeat("d", maxDir-2) + "…"
	shown := owner.Printable(hostile, 0)

	type dated struct {
		second int
		event  watcher.Event
	}
	for _, c := range []struct {
		name    string
		happens []dated
		port    uint16
		want    Past // no record if it has no name
		at      int  // the second at which it closed
	}{
		{"a server that ended", []dated{{0, closes(vite, crashed)}}, 5173, is(shop, "exited with status 1", 0), 0},
		{"after Ctrl-C", []dated{{0, closes(vite, ctrlC)}}, 5173, is(shop, "killed by SIGINT", 0), 0},
		{"with much text, and restarts", []dated{{0, closes(long, ended)}}, 5173, much, 0},
		{"a container", []dated{{0, closes(db, watcher.Reason{Cause: watcher.ContainerStopped})}}, 5432,
			Past{Name: "shop-db-1 (container)", Container: "shop-db-1", Reason: "container stopped"}, 0},
		{"an owner that is not known", []dated{{0, closes(serves(631, 0), watcher.Reason{})}}, 631,
			Past{Name: "unknown owner"}, 0},
		{"hostile names", []dated{{0, closes(worst, ended)}}, 6666,
			Past{PID: 66, Name: owner.Printable(hostile, 24) + " · " + owner.Printable(hostile, 24), Project: shown,
				Tool:    shown,
				Process: shown, Directory: "/tmp/" + shown, Container: shown, Reason: "ended"}, 0},

		{"nothing on another port", []dated{{0, closes(vite, ended)}}, 5174, Past{}, 0},
		{"what only opened", []dated{{0, opens(vite)}}, 5173, Past{}, 0},
		{"what was exposed", []dated{{0, follows(watcher.Exposed, vite, vite, watcher.Reason{})}}, 5173, Past{}, 0},
		{"one that opened again", []dated{{0, closes(serves(80, 1), ended)}, {60, opens(serves(80, 2))}}, 80,
			is(node, "ended", 0), 0},
		{"the one before a replacement", []dated{{5, follows(watcher.Replaced, serves(80, 2), serves(80, 1), crashed)}},
			80,
			is(node, "exited with status 1", 0), 5},
		{"a replacement of what had closed before", []dated{{0, closes(serves(80, 1), ended)},
			{4, follows(watcher.Replaced, serves(80, 2), serves(80, 1), crashed)}}, 80,
			is(node, "exited with status 1", 0), 0},
		{"one that closes for the second time", []dated{{0, closes(serves(80, 1), goesOn)},
			{4, follows(watcher.Restarted, serves(80, 1), serves(80, 1), goesOn)}, {20, closes(serves(80, 1), ended)}},
			80, is(node, "ended", 1), 20},

		{"a port that was handed out, for long", []dated{{0, opens(serves(40000, 1))},
			{10, closes(serves(40000, 1), ended)}}, 40000,
			is(node, "ended", 0), 10},
		{"a port that was handed out, since before anybody looked", []dated{{1, closes(serves(40000, 1), ended)}},
			40000, is(node, "ended", 0), 1},
		{"a port that was handed out for seconds", []dated{{0, opens(serves(40000, 1))},
			{9, closes(serves(40000, 1), ended)}}, 40000, Past{}, 0},
		{"another port, for seconds", []dated{{0, opens(serves(5000, 1))}, {1, closes(serves(5000, 1), ended)}}, 5000,
			is(node, "ended", 0), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			perform(t, func(t *testing.T, file string) {
				start, d := time.Now(), newDesk(t, file)
				for _, h := range c.happens {
					d.wait(time.Until(start.Add(time.Duration(h.second) * time.Second)))
					d.Note(update(time.Now(), h.event))
				}
				d.wait(pause + batchDelay)
				got, ok := d.read().Last(c.port)
				seen := c.want.Name != ""
				if seen {
					c.want.Port, c.want.Closed = c.port, stamp(start.Add(time.Duration(c.at)*time.Second))
				}
				if c.want.PID > 0 {
					c.want.Started = born
				}
				if got != c.want || ok != seen {
					t.Errorf("got %+v, %v\nwant %+v", got, ok, c.want)
				}
				for _, s := range got.texts() {
					if !fit(s) {
						t.Errorf("not fit to show: %q", s)
					}
				}
				text, err := os.ReadFile(file)
				written := len(d.read().seen.Closed) > 0
				if (err == nil) != written || bytes.Contains(text, []byte("hunter2")) ||
					bytes.ContainsAny(text, "\x1b\r\t\u202e\u200b") {
					t.Errorf("the file holds %q, %v", text, err)
				}
			})
		})
	}
}

// The JSON names are fixed, because other programs read them.
func TestPastAsJSON(t *testing.T) {
	full := Past{80, 1, "shop · Vite", "shop", "Vite", "node", "/srv/shop", "web", noon.Add(-time.Hour), noon,
		"ended", 2}
	for _, c := range []struct {
		past Past
		want string
	}{
		{full, `{"port":80,"pid":1,"name":"shop · Vite","project":"shop","tool":"Vite","process":"node",` +
			`"directory":"/srv/shop","container":"web",` +
			`"started":"2026-03-04T11:00:00Z","closed":"2026-03-04T12:00:00Z","reason":"ended","restarts":2}`},
		{Past{Port: 80, Closed: noon}, `{"port":80,"closed":"2026-03-04T12:00:00Z"}`},
	} {
		if got, err := json.Marshal(c.past); string(got) != c.want || err != nil {
			t.Errorf("got %s, %v", got, err)
		}
	}
}

// The reason of an end may arrive after the port closed.
func TestRecorderLearnsTheReason(t *testing.T) {
	now := crashed
	now.Supervisor = "nodemon"
	for _, c := range []struct {
		name  string
		after time.Duration
		pid   int32
		want  string
	}{
		{"at once", 200 * time.Millisecond, 1, "exited with status 1; nodemon still runs and waits"},
		{"once it has been written", 6 * time.Second, 1, "exited with status 1; nodemon still runs and waits"},
		{"how another one ended", time.Second, 2, "still running, no longer listening; nodemon still runs and waits"},
		{"when that is past", 2 * maxRecent, 1, "still running, no longer listening; nodemon still runs and waits"},
	} {
		t.Run(c.name, func(t *testing.T) {
			perform(t, func(t *testing.T, file string) {
				d, start := newDesk(t, file), time.Now()
				why := goesOn
				why.Supervisor = "nodemon"
				d.Note(update(start, closes(serves(80, 1), why), closes(serves(81, 0), watcher.Reason{})))
				d.wait(c.after)
				d.Note(update(time.Now(), watcher.Event{Kind: watcher.Explained,
					Server: server.Alone(serves(80, c.pid)), Reason: now}))
				d.wait(10 * time.Second)
				if got, ok := d.read().Last(80); got.Reason != c.want || !got.Closed.Equal(start) || !ok {
					t.Errorf("got %+v, %v, want %q", got, ok, c.want)
				}
				if got, ok := d.read().Last(81); got.Reason != "" || !ok {
					t.Errorf("of an unknown owner: %+v, %v", got, ok)
				}
			})
		})
	}
}

func TestRestarts(t *testing.T) {
	perform(t, func(t *testing.T, file string) {
		d := newDesk(t, file)
		first, second, third := serves(80, 1), serves(80, 2), serves(80, 3)
		d.Note(update(time.Now(), follows(watcher.Restarted, second, first, crashed)))
		d.wait(10 * time.Second)
		// A new watcher sees the next restart, and counts from zero.
		d.leave()
		d = newDesk(t, file)
		d.Note(update(time.Now(), closes(second, crashed)))
		d.wait(5 * time.Second)
		d.Note(update(time.Now(), follows(watcher.Restarted, third, second, crashed)))
		web := serves(8080, 0)
		web.Container = engine.Container{ID: "abc", Name: "web"}
		d.Note(update(time.Now(), follows(watcher.Restarted, web, web,
			watcher.Reason{Cause: watcher.ContainerStopped})))
		d.Note(update(time.Now(), follows(watcher.Restarted, serves(81, 0), serves(81, 9), watcher.Reason{})))
		blinks := serves(82, 4)
		for range 2 { // it closes its port for a moment
			d.Note(update(time.Now(), follows(watcher.Restarted, blinks, blinks, goesOn)))
			blinks.Restarts++
			d.wait(4 * time.Second)
		}
		blinks.Restarts = 0 // as a new watcher sees it
		d.Note(update(time.Now(), opens(serves(40000, 1))))
		for i := range 3 {
			before := serves(40000, int32(1+i))
			before.Restarts = i
			d.Note(update(time.Now(), follows(watcher.Restarted, serves(40000, int32(2+i)), before, crashed)))
			d.wait(time.Second)
		}
		d.wait(10 * time.Second)

		with := func(l server.Listener, change func(*server.Listener)) server.Listener { change(&l); return l }
		for _, c := range []struct {
			name string
			on   server.Listener
			want int
		}{
			{"the server", third, 2},
			{"the server, of which a watcher saw more", with(third, func(l *server.Listener) { l.Restarts = 7 }), 7},
			{"what it was before", second, 0},
			{"on another port", with(third, func(l *server.Listener) { l.Port = 81 }), 0},
			{"another process with its PID", with(third, func(l *server.Listener) { l.Owner.Start++ }), 0},
			{"another process", serves(80, 4), 0},
			{"a process that closed its port for a moment, twice", blinks, 2},
			{"on a port that was handed out, each time for a second", serves(40000, 4), 3},
			{"what that was before", serves(40000, 3), 0},
			{"an unknown owner", serves(80, 0), 0},
			{"an unknown owner where one had restarted", serves(81, 0), 0},
			{"the container", web, 1},
			{"another container", with(web, func(l *server.Listener) { l.Container.ID = "abd" }), 0},
			{"the container behind another forwarder",
				with(web, func(l *server.Listener) { l.Owner.PID, l.Owner.Start = 5, 5 }), 1},
		} {
			if got := d.read().Restarts(c.on); got != c.want {
				t.Errorf("%s: got %d, want %d", c.name, got, c.want)
			}
			if got := (History{}).Restarts(c.on); got != c.on.Restarts {
				t.Errorf("%s, with no history: got %d", c.name, got)
			}
		}
		if got, ok := d.read().Last(80); got.PID != 2 || got.Restarts != 1 || !ok {
			t.Errorf("what closed last: %+v, %v", got, ok)
		}
		for _, boot := range []string{"tomorrow", ""} { // then a PID and a start time mean another process
			seen, _, err := load(file, boot, time.Now())
			if got := (History{seen}).Restarts(third); got != 0 || len(seen.Closed) != 4 || err != nil {
				t.Errorf("boot %q: %d restarts, %d closed, %v", boot, got, len(seen.Closed), err)
			}
		}
		if p, ok := d.read().Last(40000); ok {
			t.Errorf("that it had a port for a second is remembered: %+v", p)
		}
		brief := serves(40000, 4)
		brief.Restarts = 3
		d.Note(update(time.Now(), closes(third, ended), closes(brief, ended)))
		d.wait(10 * time.Second)
		for _, l := range []server.Listener{third, serves(40000, 4)} {
			if got := d.read().Restarts(l); got != 0 {
				t.Errorf("once port %d had closed it had %d restarts", l.Port, got)
			}
		}
	})
}

// Frequent changes cost one write every few seconds. Without changes there is no write.
func TestRecorderPace(t *testing.T) {
	perform(t, func(t *testing.T, file string) {
		d := newDesk(t, file)
		d.Note(update(time.Now(), closes(serves(80, 1), ended)))
		d.wait(batchDelay - 1)
		if _, err := os.Stat(file); err == nil {
			t.Error("it is written before it has settled")
		}
		d.wait(1)
		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		last := time.Now()
		for i := range 600 {
			d.Note(update(time.Now(), closes(serves(uint16(1000+i), 1), ended)))
			d.wait(100 * time.Millisecond)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text, before) {
				if time.Since(last) < pause {
					t.Errorf("written twice within %v", time.Since(last))
				}
				before, last = text, time.Now()
			} else if time.Since(last) > pause+batchDelay {
				t.Errorf("nothing is written for %v", time.Since(last))
			}
		}
		d.wait(pause)

		// Events without news write no file.
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		moved, tests := serves(80, 1), serves(40000, 2)
		moved.Addrs = append(moved.Addrs, netip.IPv4Unspecified())
		for range 100 {
			u := update(time.Now(), opens(tests), watcher.Event{Kind: watcher.Exposed, Server: server.Alone(moved),
				Before: server.Alone(serves(80, 1))})
			u.Snapshot.Listeners = []server.Listener{moved, tests}
			d.Note(u)
			d.wait(time.Second)
			d.Note(update(time.Now(), follows(watcher.Restarted, tests, tests, goesOn))) // a repeated port
			d.wait(time.Second)
			again := tests
			again.Restarts = 1
			d.Note(update(time.Now(), closes(again, ended)))
			d.wait(time.Minute)
		}
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("something was written: %v", err)
		}
	})
}

// A recorder does not write the closings of another recorder again.
func TestRecorderWritesNoSecondTime(t *testing.T) {
	perform(t, func(t *testing.T, file string) {
		one, two := newDesk(t, file), newDesk(t, file)
		news := update(time.Now(), closes(serves(80, 1), ended))
		one.Note(news)
		one.wait(2 * batchDelay)
		before, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		two.Note(news)
		two.wait(2 * batchDelay)
		if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
			t.Errorf("the file is another one: %v", err)
		}
	})
}

// The recorder writes waiting news when the program ends.
func TestRecorderWritesAtTheEnd(t *testing.T) {
	perform(t, func(t *testing.T, file string) {
		d := newDesk(t, file)
		d.Note(update(time.Now(), closes(serves(80, 1), ended)))
		d.wait(batchDelay)
		d.Note(update(time.Now(), closes(serves(81, 1), ended)))
		d.wait(time.Millisecond) // Run has received it
		d.Note(update(time.Now(), closes(serves(82, 1), ended)))
		start := time.Now()
		d.leave()
		for port := uint16(80); port <= 82; port++ {
			if _, ok := d.read().Last(port); !ok || time.Since(start) > 0 {
				t.Errorf("port %d: %v, after %v", port, ok, time.Since(start))
			}
		}
	})
}

// The tray and a watch in a terminal keep each other's closings.
func TestTwoRecorders(t *testing.T) {
	perform(t, func(t *testing.T, file string) {
		one, two := newDesk(t, file), newDesk(t, file)
		for i := range 40 {
			both := update(time.Now(), closes(serves(uint16(100+i), 1), ended))
			one.Note(both)
			one.wait(30 * time.Millisecond)
			both.Snapshot.Time = time.Now()
			two.Note(both)
			if i%2 == 0 { // only one recorder sees it
				one.Note(update(time.Now(), closes(serves(uint16(200+i), 1), ended)))
			}
			one.wait(700 * time.Millisecond)
		}
		two.leave()
		one.wait(time.Minute)
		got := one.read()
		for i := range 40 {
			if _, ok := got.Last(uint16(100 + i)); !ok {
				t.Errorf("port %d is lost", 100+i)
			}
			if _, ok := got.Last(uint16(200 + i)); ok != (i%2 == 0) {
				t.Errorf("port %d: %v", 200+i, ok)
			}
		}
		// The latest closing counts, not the last write.
		early := update(time.Now(), closes(serves(300, 1), ended))
		one.wait(time.Minute)
		three := newDesk(t, file)
		three.Note(update(time.Now(), closes(serves(300, 2), ended)))
		three.wait(time.Minute)
		one.Note(early)
		one.wait(time.Minute)
		if p, _ := one.read().Last(300); p.PID != 2 {
			t.Errorf("the last on port 300 is %+v", p)
		}
	})
}

// Note does not block without a running Run, and keeps a limited number of closings.
func TestNoteNeverBlocks(t *testing.T) {
	r := newRecorder(filepath.Join(t.TempDir(), name))
	for i := range 100 {
		var events []watcher.Event
		for p := range 100 {
			events = append(events, opens(serves(uint16(1+p), 1)), closes(serves(uint16(1+p), 1), ended))
		}
		r.Note(update(noon.Add(time.Duration(i)*time.Second), events...))
	}
	if got := <-r.news; len(got) != maxWaiting || !got[maxWaiting-1].past.Closed.Equal(noon.Add(99*time.Second)) {
		t.Errorf("%d wait, the last of them %+v", len(got), got[len(got)-1])
	}
	if len(r.recent) > maxWaiting || len(r.opened) > 0 {
		t.Errorf("it keeps %d and %d", len(r.recent), len(r.opened))
	}
}

func TestNoteCostsNothing(t *testing.T) {
	r := newRecorder(filepath.Join(t.TempDir(), name))
	u := update(noon)
	for i := range 300 {
		u.Snapshot.Listeners = append(u.Snapshot.Listeners, serves(uint16(1000+i), 1))
	}
	if n := testing.AllocsPerRun(100, func() { r.Note(u) }); n != 0 {
		t.Errorf("an update without news costs %v allocations", n)
	}
	r.Note(update(noon, closes(serves(9, 9), crashed)))
	<-r.news
	if n := testing.AllocsPerRun(100, func() { r.Note(u) }); n != 0 || len(r.news) > 0 {
		t.Errorf("after a closing of which all is known it costs %v allocations, and there is news: %v", n,
			len(r.news) > 0)
	}
}

// keptLog captures the log from now on.
func keptLog(t *testing.T) func() string {
	var mu sync.Mutex
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}), nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// A failed write is logged once and repeated. After a success, the next failure is logged again.
func TestRecorderCannotWrite(t *testing.T) {
	logged := keptLog(t)
	perform(t, func(t *testing.T, file string) {
		dir := filepath.Dir(file)
		block := func() {
			if err := os.WriteFile(dir, nil, 0o600); err != nil { // in place of the directory
				t.Fatal(err)
			}
		}
		block()
		d := newDesk(t, file)
		for i := range 5 {
			d.Note(update(time.Now(), closes(serves(uint16(80+i), 1), ended)))
			d.wait(10 * time.Minute)
		}
		if got := logged(); strings.Count(got, "\n") != 1 || !strings.Contains(got, file) {
			t.Errorf("logged %q", got)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		d.wait(pauseFailed)
		if got := d.read(); len(got.seen.Closed) != 5 {
			t.Errorf("once it could be written: %+v", got)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		block()
		d.Note(update(time.Now(), closes(serves(90, 1), ended)))
		d.wait(10 * time.Minute)
		if got := logged(); strings.Count(got, "\n") != 2 {
			t.Errorf("logged %q", got)
		}
	})
}

// An invalid file is renamed once, and a new one started.
func TestRecorderFindsABrokenFile(t *testing.T) {
	logged := keptLog(t)
	for _, c := range []struct{ name, text string }{
		{"torn", `{"closed":[{"port":51`}, {"empty", ""}, {"huge", strings.Repeat(" ", maxFile+1)},
		{"of something else", `{"closed":[{"port":0}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			perform(t, func(t *testing.T, file string) {
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
				before := strings.Count(logged(), "\n")
				d := newDesk(t, file)
				d.wait(time.Hour)
				if _, err := os.Stat(file + ".broken"); err == nil {
					t.Error("it is put aside although there is nothing to write")
				}
				for i := range 3 {
					d.Note(update(time.Now(), closes(serves(uint16(80+i), 1), ended)))
					d.wait(time.Minute)
				}
				if aside, err := os.ReadFile(file + ".broken"); string(aside) != c.text || err != nil {
					t.Errorf("put aside: %d bytes, %v", len(aside), err)
				}
				if got := d.read(); len(got.seen.Closed) != 3 {
					t.Errorf("got %+v", got)
				}
				if got := strings.Count(logged(), "\n") - before; got != 1 {
					t.Errorf("logged %d lines: %s", got, logged())
				}
			})
		})
	}
}

// A real watcher's updates end in the file: a server that listens, restarts twice and then ends.
func TestWatchedAndRead(t *testing.T) {
	perform(t, func(t *testing.T, file string) {
		start, d := time.Now(), newDesk(t, file)
		w := &watcher.Watcher{Scan: func(context.Context) (watcher.Snapshot, error) {
			s := watcher.Snapshot{Time: time.Now(), Listeners: []server.Listener{serves(22, 9)}}
			for i, from := range []int{0, 20, 45} {
				if since := time.Since(start); since >= time.Duration(from)*time.Second &&
					since < time.Duration(from+18)*time.Second {
					s.Listeners = append(s.Listeners, serves(5173, int32(100+i)))
				}
			}
			return s, nil
		}}
		updates := make(chan watcher.Update)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { w.Run(ctx, updates) })
		wg.Go(func() {
			for {
				select {
				case u := <-updates:
					d.Note(u)
				case <-ctx.Done():
					return
				}
			}
		})
		d.wait(35 * time.Second)
		if p, ok := d.read().Last(5173); p.PID != 100 || !ok {
			t.Errorf("after a restart: %+v, %v", p, ok)
		}
		if n := d.read().Restarts(serves(5173, 101)); n != 1 {
			t.Errorf("%d restarts", n)
		}
		d.wait(55 * time.Second)
		// The third start came seven seconds after the second end, too late for a restart.
		if p, ok := d.read().Last(5173); p.PID != 102 || p.Restarts != 0 || !ok {
			t.Errorf("at the end: %+v, %v", p, ok)
		}
		if got := d.read().seen; len(got.Closed) != 1 || len(got.Live) != 0 {
			t.Errorf("at the end: %+v", got)
		}
		cancel()
	})
}

// Without a place for the file, the recorder writes nothing and does not fail.
func TestRecorderWithoutAPlace(t *testing.T) {
	logged := keptLog(t)
	for _, v := range []string{"XDG_STATE_HOME", "HOME", "AppData"} {
		t.Setenv(v, "")
	}
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for i := range 3 {
			r.Note(update(time.Now(), closes(serves(uint16(80+i), 1), ended)))
		}
		r.Run(ctx)
	})
	if got := logged(); strings.Count(got, "\n") != 1 {
		t.Errorf("logged %q", got)
	}
	if got, err := Read(); err == nil || len(got.seen.Closed) > 0 {
		t.Errorf("read %+v, %v", got, err)
	}
}

// BenchmarkMerge adds one closing to a full file, as at most once in five seconds.
func BenchmarkMerge(b *testing.B) {
	r := newRecorder(filepath.Join(b.TempDir(), name))
	r.relevant(nil)
	for i := range maxPorts {
		c := r.closed(server.Alone(serves(uint16(1000+i), 1)), crashed, watcher.Snapshot{Time: time.Now()})
		if err := r.merge(c, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c := r.closed(server.Alone(serves(uint16(1000+i%maxPorts), int32(2+i))), crashed,
			watcher.Snapshot{Time: time.Now()})
		if err := r.merge(c, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(r.file)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size()), "bytes")
}
