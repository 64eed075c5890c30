package terminal

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// at returns a time on the day that the tests play on.
func at(hour, minute, second int) time.Time {
	return time.Date(2026, time.March, 4, hour, minute, second, 0, time.UTC)
}

func listener(port uint16, p owner.Process, addrs ...string) server.Listener {
	l := server.Listener{Port: port, Owner: p}
	for _, a := range addrs {
		l.Addrs = append(l.Addrs, netip.MustParseAddr(a))
	}
	return l
}

func snapshot(list ...server.Listener) watcher.Snapshot {
	return watcher.Snapshot{Time: at(9, 30, 0), Listeners: list,
		Servers: server.Servers(list, port.System{}.HandedOut)}
}

// only returns a server with a single listener.
func only(l server.Listener) server.Server { return snapshot(l).Servers[0] }

// TestFollower writes sequences of updates as text and JSON, one per minute from 9:30:01 on. It compares them with
// testdata/NAME.txt and NAME.jsonl.
func TestFollower(t *testing.T) {
	home := filepath.FromSlash("/home/ann")
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // Windows

	vite := owner.Process{PID: 4711, Start: 1, Name: "vite", Dir: filepath.Join(home, "src", "shop"),
		Since: at(8, 5, 59)}
	postgres := owner.Process{PID: 815, Start: 1, Name: "postgres", Dir: filepath.FromSlash("/var/lib/postgresql"),
		Since: at(9, 0, 0).AddDate(0, -2, 10)}
	bare := owner.Process{PID: 12, Start: 1} // without any other fact
	hostile := owner.Process{
		PID: 666, Start: 1, Since: at(9, 0, 0),
		Name: "a\x1b[2J\x1b]0;owned\a\n09:30:02  closed  5432  postgres\tb\u202egnp.exe\xff\x9b31m",
		Dir:  "/tmp/\r\n\x1b[1A\u2028\u009b2Kx\u200b\ttab\xffcell",
	}
	web, db := listener(5173, vite, "127.0.0.1", "::1"), listener(5432, postgres, "127.0.0.1")
	web.Facts.Project, web.Facts.Tool = project.Project{Name: "shop", Dir: vite.Dir},
		facts.Tool{Name: "Vite", Kind: facts.Server}
	unknown := listener(631, owner.Process{}, "0.0.0.0", "::")
	worst := listener(6666, hostile, "127.0.0.1")
	errRead := errors.New("list TCP sockets: open /proc/net/tcp: permission denied")

	tests := map[string][]watcher.Update{
		"table": {{Snapshot: snapshot(unknown, web, db, listener(65535, bare, "127.0.0.1", "192.0.2.1"))}},
		"empty": {{Snapshot: snapshot()}},
		"explained": {
			{Snapshot: snapshot(web)},
			{Snapshot: snapshot(), Events: []watcher.Event{{Kind: watcher.Closed, Server: only(web),
				Reason: watcher.Reason{Cause: watcher.OwnerGoesOn}}}},
			{Snapshot: snapshot(), Events: []watcher.Event{{Kind: watcher.Explained, Server: only(web),
				Reason: watcher.Reason{
					Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: 3}}}}},
		},
		"reasons": {
			{Snapshot: snapshot(web)},
			{Snapshot: snapshot(), Events: []watcher.Event{{Kind: watcher.Closed, Server: only(web),
				Reason: watcher.Reason{Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Exited, Status: 1},
					Supervisor: "nodemon"}}}},
			{Snapshot: snapshot(web), Events: []watcher.Event{{Kind: watcher.Restarted, Server: only(web),
				Before: only(web), Reason: watcher.Reason{
					Cause: watcher.OwnerEnded, Exit: owner.Exit{How: owner.Killed, Signal: "SIGKILL"}}}}},
			{Snapshot: snapshot(db), Events: []watcher.Event{{Kind: watcher.Replaced, Server: only(db),
				Before: only(web)}}},
			{Snapshot: snapshot(db, web), Events: []watcher.Event{{Kind: watcher.Moved, Server: only(web),
				Before: only(db)}}},
			{Snapshot: snapshot(unknown), Events: []watcher.Event{{Kind: watcher.Exposed, Server: only(unknown),
				Before: only(db)}}},
		},
		"events": {
			{Snapshot: snapshot(web)},
			{Snapshot: snapshot(unknown, web, db),
				Events: []watcher.Event{{Kind: watcher.Opened, Server: only(unknown)},
					{Kind: watcher.Opened, Server: only(db)}}},
			{Snapshot: snapshot(unknown, db)}, // an address changed
			{Snapshot: snapshot(), Events: []watcher.Event{{Kind: watcher.Closed, Server: only(unknown)},
				{Kind: watcher.Closed, Server: only(db)}}},
			{Snapshot: snapshot(listener(80, bare, "::1")),
				Events: []watcher.Event{{Kind: watcher.Opened, Server: only(listener(80, bare, "::1"))}}},
		},
		"hostile": {
			{Snapshot: snapshot(worst)},
			{Snapshot: snapshot(), Events: []watcher.Event{{Kind: watcher.Closed, Server: only(worst)}}},
			{Snapshot: snapshot(), Err: errors.New("bind address \"\x1b[2J\n\"\u202e")},
		},
		"errors": {
			{Snapshot: snapshot(web)},
			{Snapshot: snapshot(web), Err: errRead},
			{Snapshot: snapshot(web, db), Events: []watcher.Event{{Kind: watcher.Opened, Server: only(db)}}},
			{Snapshot: snapshot(web), Events: []watcher.Event{{Kind: watcher.Closed, Server: only(db)}}, Err: errRead},
			{Snapshot: snapshot(web)},
		},
		"errors_first": {
			{Err: errRead},
			{Err: errors.New("the list of listeners takes over 10s to read")},
			{Snapshot: snapshot(db)},
			{Snapshot: snapshot(), Events: []watcher.Event{{Kind: watcher.Closed, Server: only(db)}}},
		},
	}
	for name, updates := range tests {
		t.Run(name, func(t *testing.T) {
			words, objects := follower{all: true}, follower{all: true}
			words.write, objects.write = words.lines, objects.objects
			var text, lines bytes.Buffer
			step := time.Minute
			if name == "explained" {
				step = time.Second
			}
			for i, u := range updates {
				now := at(9, 30, 1).Add(time.Duration(i) * step)
				text.Write(words.tell(u, now))
				lines.Write(objects.tell(u, now))
			}
			for _, r := range text.String() + lines.String() {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Errorf("the text has %U in it: %q", r, text.String())
				}
			}
			golden(t, name+".txt", text.Bytes())
			golden(t, name+".jsonl", lines.Bytes())
			for line := range bytes.Lines(lines.Bytes()) {
				matches(t, "event.schema.json", line)
			}
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" { // it has other line ends and separators
		want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))
		got, want = slashed(got), slashed(want)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant, as in %s,\n%s", got, path, want)
	}
}

// slashed replaces each separator with one slash, even the double backslash in JSON on Windows.
func slashed(text []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(text, []byte(`\\`), []byte("/")), []byte(`\`), []byte("/"))
}

// matches checks a JSON document against a schema in testdata.
func matches(t *testing.T, schema string, document []byte) {
	t.Helper()
	compiled, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", schema))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatalf("%v in %s", err, document)
	}
	if err := compiled.Validate(value); err != nil {
		t.Errorf("%s does not match: %v", document, err)
	}
}

// A pen writes to a builder, and fails after a number of writes.
type pen struct {
	strings.Builder
	left int
}

var errDry = errors.New("no space left on device")

func (p *pen) Write(b []byte) (int, error) {
	if p.left == 0 {
		return 0, errDry
	}
	p.left--
	return p.Builder.Write(b)
}

// If a hidden server takes the port of a listed one, the watcher prints the end of the listed one.
func TestFollowerTellsOfAnEnd(t *testing.T) {
	shop, other := only(listener(3000, owner.Process{PID: 7, Start: 7, Name: "shop"}, "127.0.0.1")),
		only(listener(3000, owner.Process{PID: 8, Start: 8, Name: "other"}, "127.0.0.1"))
	shop.Section, other.Section = server.Main, server.Other
	f := follower{}
	f.write = f.lines
	f.tell(watcher.Update{Snapshot: snapshot()}, at(9, 30, 0))
	got := string(f.tell(watcher.Update{Snapshot: snapshot(),
		Events: []watcher.Event{{Kind: watcher.Replaced, Server: other, Before: shop}}}, at(9, 30, 1)))
	if want := "09:30:01  closed  3000  shop (PID 7), 127.0.0.1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWatch(t *testing.T) {
	db := listener(5432, owner.Process{PID: int32(os.Getpid()), Start: 1, Name: "postgres"}, "127.0.0.1")
	tests := []struct {
		name   string
		writes int
		want   error
		after  time.Duration
		lines  int
	}{
		{"until the end of its context", 100, nil, 5500 * time.Millisecond, 3},
		{"until the table cannot be written", 0, errDry, 0, 0},
		{"until an event cannot be written", 1, errDry, 2250 * time.Millisecond, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // it also waits for all goroutines
				ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
				defer cancel()
				start, out := time.Now(), &pen{left: tt.writes}
				other := db.Owner
				other.PID++
				// Port 80 opens after two seconds.
				w := &watcher.Watcher{Scan: func(context.Context) (watcher.Snapshot, error) {
					s := watcher.Snapshot{Time: time.Now(), Listeners: []server.Listener{db}}
					if time.Since(start) >= 2*time.Second {
						s.Listeners = []server.Listener{listener(80, other, "::1"), db}
					}
					return s, nil
				}}
				if err := Watch(ctx, w, out); !errors.Is(err, tt.want) || time.Since(start) != tt.after {
					t.Errorf("returned %v after %v, want %v after %v", err, time.Since(start), tt.want, tt.after)
				}
				if got := strings.Count(out.String(), "\n"); got != tt.lines {
					t.Errorf("wrote %d lines, want %d:\n%s", got, tt.lines, out.String())
				}
			})
		})
	}
}

// TestWatchForReal writes the listeners of this machine.
func TestWatchForReal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := writer(func(b []byte) (int, error) {
		if !bytes.HasPrefix(b, []byte("PORT ")) && !bytes.HasPrefix(b, []byte("No server ")) {
			t.Errorf("began with %q", b)
		}
		cancel()
		return len(b), nil
	})
	if err := Watch(ctx, &watcher.Watcher{}, out); err != nil {
		t.Error(err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
