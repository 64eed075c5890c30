package history

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"porttray/watcher/server"
)

// noon is the time in tests without a clock.
var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

func TestDecode(t *testing.T) {
	const (
		closing = `{"port":5173,"pid":4711,"name":"shop · Vite","closed":"2026-03-04T11:00:00Z",` +
			`"reason":"exited with status 1","restarts":3}`
		server = `{"port":5173,"pid":4712,"start":99,"restarts":4,"seen":"2026-03-04T11:00:01Z"}`
	)
	want := Past{Port: 5173, PID: 4711, Name: "shop · Vite", Closed: noon.Add(-time.Hour),
		Reason: "exited with status 1", Restarts: 3}
	for _, c := range []struct {
		name, text string
		closed     []Past
		live       int
		ok         bool
	}{
		{"a closing and a live server", `{"boot":"b","closed":[` + closing + `],"live":[` + server + `]}`,
			[]Past{want}, 1, true},
		{"nothing seen", `{}`, nil, 0, true},
		{"what a later version may write", `{"closed":[` + closing + `],"sound":"none"}`, []Past{want}, 0, true},
		{"one port twice", `{"closed":[{"port":5173,"closed":"2026-03-04T10:00:00Z"},` + closing + `]}`,
			[]Past{want}, 0, true},
		{"in another zone", `{"closed":[{"port":80,"closed":"2026-03-04T12:30:00+01:00"}]}`,
			[]Past{{Port: 80, Closed: noon.Add(-30 * time.Minute)}}, 0, true},
		{"a start after the end",
			`{"closed":[{"port":80,"started":"2026-03-04T11:01:00Z","closed":"2026-03-04T11:00:00Z"}]}`,
			[]Past{{Port: 80, Closed: noon.Add(-time.Hour)}}, 0, true},
		{"31 days ago", `{"closed":[{"port":80,"closed":"2026-02-01T12:00:00Z"}]}`, nil, 0, true},
		{"tomorrow, before the clock was put back",
			`{"closed":[{"port":80,"started":"2026-03-05T11:00:00Z","closed":"2026-03-05T12:00:00Z"}],
			"live":[{"port":5173,"pid":4712,"restarts":4,"seen":"2026-03-05T11:00:00Z"}]}`,
			[]Past{{Port: 80, Closed: noon}}, 1, true},

		{"empty", ``, nil, 0, false},
		{"torn", `{"closed":[{"port":5173,"pid":4`, nil, 0, false},
		{"two of them", `{"closed":[` + closing + `]}{"closed":[]}`, nil, 0, false},
		{"null", `null`, nil, 0, false},
		{"a list", `[` + closing + `]`, nil, 0, false},
		{"no text", "\x00\x01\xff", nil, 0, false},
		{"zeros after a power failure", strings.Repeat("\x00", 512), nil, 0, false},
		{"no port", `{"closed":[{"closed":"2026-03-04T11:00:00Z"}]}`, nil, 0, false},
		{"no such port", `{"closed":[{"port":65536,"closed":"2026-03-04T11:00:00Z"}]}`, nil, 0, false},
		{"no time", `{"closed":[{"port":80}]}`, nil, 0, false},
		{"another kind of time", `{"closed":[{"port":80,"closed":"yesterday"}]}`, nil, 0, false},
		{"no such PID", `{"closed":[{"port":80,"pid":-1,"closed":"2026-03-04T11:00:00Z"}]}`, nil, 0, false},
		{"fewer restarts than none", `{"closed":[{"port":80,"restarts":-1,"closed":"2026-03-04T11:00:00Z"}]}`,
			nil, 0, false},
		{"a live server of nobody", `{"live":[{"port":80,"restarts":1,"seen":"2026-03-04T11:00:00Z"}]}`, nil, 0, false},
		{"a live server of a container that is none",
			`{"live":[{"port":80,"container":"\u200b","restarts":1,"seen":"2026-03-04T11:00:00Z"}]}`, nil, 0, false},
		{"a live server without restarts", `{"live":[{"port":80,"pid":1,"seen":"2026-03-04T11:00:00Z"}]}`,
			nil, 0, false},
		{"a live server without a time", `{"live":[{"port":80,"pid":1,"restarts":1}]}`, nil, 0, false},
		{"a live server's long container", `{"live":[{"port":80,"container":"` + strings.Repeat("a", 257) +
			`","restarts":1,"seen":"2026-03-04T11:00:00Z"}]}`, nil, 0, false},
	} {
		got, err := decode([]byte(c.text), noon)
		if (err == nil) != c.ok || !slices.Equal(got.Closed, c.closed) || len(got.Live) != c.live {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

// The longest texts still make a file small enough to read.
func TestEncodeWhatIsLargest(t *testing.T) {
	for _, rune := range []string{"\U0001f680", `"`, `\`, "\u00ff", "<", "\xff", "\u2028a"} {
		long := strings.Repeat(rune, 5000)
		var c contents
		for i := range 2 * maxPorts {
			c.add(closing{past: Past{Port: uint16(1 + i), PID: 1<<31 - 1, Name: long, Project: long, Tool: long,
				Process: long, Directory: long,
				Container: long, Started: noon, Closed: noon.Add(-time.Nanosecond), Reason: long, Restarts: 1 << 40},
				now: server.ID{Port: uint16(1 + i), PID: 1<<31 - 1, Start: 1<<64 - 1,
					Container: strings.Repeat("f", maxID)}})
		}
		c.Boot = strings.Repeat("b", maxText)
		c.tidy(noon, func(uint16) bool { return false })
		text, err := c.encode()
		if err != nil || len(text) > maxFile {
			t.Fatalf("%q: %d bytes, %v", rune, len(text), err)
		}
		got, err := decode(text, noon)
		if err != nil || !reflect.DeepEqual(got, c) || len(got.Closed) != maxPorts || len(got.Live) != maxPorts {
			t.Errorf("%q: got %d and %d back, %v", rune, len(got.Closed), len(got.Live), err)
		}
	}
}

// hostile is a text that a process can give itself.
const hostile = "a\x1b[2J\x1b]0;owned\a\n09:30:02  closed  5432 " +
	" postgres\tb\u202egnp.exe\xff\x9b31m\",\"port\":1,\"x\":\"\u2028\u200b"

// fit reports whether a text is printable and not too long.
func fit(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || !unicode.IsGraphic(r)
	})
}

func (p Past) texts() []string {
	return []string{p.Name, p.Project, p.Tool, p.Process, p.Directory, p.Container, p.Reason}
}

func TestAdd(t *testing.T) {
	at := func(s int) time.Time { return noon.Add(time.Duration(s) * time.Second) }
	id := func(pid int32) server.ID { return server.ID{Port: 80, PID: pid, Start: 7} }
	ends := func(pid int32, s int, reason string) closing {
		return closing{past: Past{Port: 80, PID: pid, Closed: at(s), Reason: reason}, was: id(pid)}
	}
	becomes := func(c closing, pid int32, restarts int) closing {
		c.now, c.past.Restarts = id(pid), restarts
		return c
	}
	surely := func(c closing) closing { c.sure = true; return c }
	elsewhere := ends(5, 9, "")
	elsewhere.past.Port, elsewhere.was.Port = 81, 81
	for _, c := range []struct {
		name string
		news []closing
		want string // the closed servers, then the live ones
	}{
		{"one", []closing{ends(1, 0, "ended")}, "80 1 at 0 ended ×0;"},
		{"on two ports", []closing{ends(1, 0, ""), elsewhere}, "81 5 at 9  ×0, 80 1 at 0  ×0;"},
		{"one after the other", []closing{ends(1, 0, "ended"), ends(2, 1, "")}, "80 2 at 1  ×0;"},
		{"the earlier one comes last", []closing{ends(2, 9, ""), ends(1, 0, "ended")}, "80 2 at 9  ×0;"},
		{"seen by two", []closing{ends(1, 0, "ended"), ends(1, 1, "ended")}, "80 1 at 0 ended ×0;"},
		{"seen by two, the first of which knows more", []closing{surely(ends(1, 1, "killed")), ends(1, 0, "ended")},
			"80 1 at 0 killed ×0;"},
		{"seen by two, the second of which knows more", []closing{ends(1, 0, "ended"), surely(ends(1, 1, "killed"))},
			"80 1 at 0 killed ×0;"},
		{"seen by two, the first of which knows nothing", []closing{ends(1, 0, ""), ends(1, 1, "ended")},
			"80 1 at 0 ended ×0;"},
		{"the same process again, much later", []closing{surely(ends(1, 0, "lost")), ends(1, 60, "ended")},
			"80 1 at 60 ended ×0;"},
		{"a restart", []closing{becomes(ends(1, 0, "ended"), 2, 0)}, "80 1 at 0 ended ×0; 80 2 ×1"},
		{"a restart, told as such later", []closing{ends(1, 0, "ended"), becomes(ends(1, 0, "ended"), 2, 0)},
			"80 1 at 0 ended ×0; 80 2 ×1"},
		{"three restarts", []closing{becomes(ends(1, 0, ""), 2, 0), becomes(ends(2, 9, ""), 3, 1),
			becomes(ends(3, 20, ""), 4, 2)},
			"80 3 at 20  ×2; 80 4 ×3"},
		{"three restarts, the last by a watcher that saw no other", []closing{becomes(ends(1, 0, ""), 2, 0),
			becomes(ends(2, 9, ""), 3, 1),
			becomes(ends(3, 20, ""), 4, 0)}, "80 3 at 20  ×2; 80 4 ×3"},
		{"the same, closed first", []closing{becomes(ends(1, 0, ""), 2, 0), ends(2, 9, ""),
			becomes(ends(2, 9, ""), 3, 0)}, "80 2 at 9  ×1; 80 3 ×2"},
		{"a restart seen by two", []closing{becomes(ends(1, 0, ""), 2, 0), becomes(ends(1, 1, ""), 2, 0)},
			"80 1 at 0  ×0; 80 2 ×1"},
		{"a restart seen by two, one of which saw more before", []closing{becomes(ends(1, 0, ""), 2, 5),
			becomes(ends(1, 1, ""), 2, 0)}, "80 1 at 0  ×5; 80 2 ×6"},
		{"one process, closed for a moment", []closing{becomes(ends(1, 0, ""), 1, 0)}, "80 1 at 0  ×0; 80 1 ×1"},
		{"the same, seen by two", []closing{becomes(ends(1, 0, ""), 1, 0), becomes(ends(1, 1, ""), 1, 0)},
			"80 1 at 0  ×0; 80 1 ×1"},
		{"the end after a restart", []closing{becomes(ends(1, 0, ""), 2, 0), ends(2, 60, "ended")},
			"80 2 at 60 ended ×1;"},
		{"how it ended, late", []closing{ends(1, 0, ""), surely(ends(1, 0, "killed"))}, "80 1 at 0 killed ×0;"},
		{"how it ended, after a restart", []closing{becomes(ends(1, 0, ""), 2, 0), surely(ends(1, 0, "killed"))},
			"80 1 at 0 killed ×0; 80 2 ×1"},
		{"how it ended, after another one has", []closing{ends(1, 0, ""), ends(2, 1, "ended"),
			surely(ends(1, 0, "killed"))}, "80 2 at 1 ended ×0;"},
		{"an owner that nobody knows", []closing{{past: Past{Port: 80, Closed: at(0)}}}, "80 0 at 0  ×0;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got contents
			for _, n := range c.news {
				got.add(n)
				got.tidy(at(100), func(uint16) bool { return false })
			}
			var closed, live []string
			for _, p := range got.Closed {
				closed = append(closed, fmt.Sprintf("%d %d at %.0f %s ×%d", p.Port, p.PID, p.Closed.Sub(noon).Seconds(),
					p.Reason, p.Restarts))
			}
			for _, l := range got.Live {
				live = append(live, fmt.Sprintf("%d %d ×%d", l.Port, l.PID, l.Restarts))
			}
			if text := strings.TrimSpace(strings.Join(closed, ", ") + "; " + strings.Join(live, ", ")); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

// A thousand system-assigned ports do not displace the others, and the oldest entries are dropped.
func TestTidy(t *testing.T) {
	handedOut := func(port uint16) bool { return port >= 32768 }
	var c contents
	for i := range 60 {
		c.add(closing{past: Past{Port: uint16(3000 + i), PID: 1, Closed: noon.Add(time.Duration(i) * time.Second)},
			now: server.ID{Port: uint16(3000 + i), PID: 1}})
	}
	for i := range 1000 {
		c.add(closing{past: Past{Port: uint16(40000 + i), PID: 2,
			Closed: noon.Add(time.Minute + time.Duration(i)*time.Second)},
			now: server.ID{Port: uint16(40000 + i), PID: 2}})
	}
	now := noon.Add(4 * time.Hour)
	c.tidy(now, handedOut)
	if got := len(c.Closed); got != 60+maxHandedOut {
		t.Errorf("%d are left", got)
	}
	if c.closedOn(3000) < 0 || c.closedOn(3059) < 0 || c.closedOn(40999) != 0 || c.closedOn(40974) >= 0 {
		t.Errorf("these are left: %+v", c.Closed)
	}
	if len(c.Live) != 60+maxHandedOut || c.restarts(server.ID{Port: 3000, PID: 1}) != 1 ||
		c.restarts(server.ID{Port: 40999, PID: 2}) != 1 {
		t.Errorf("%d live are left: %+v", len(c.Live), c.Live)
	}
	for i := range 100 {
		c.add(closing{past: Past{Port: uint16(8000 + i), PID: 3, Closed: now.Add(time.Duration(i) * time.Millisecond)}})
	}
	c.tidy(now, handedOut)
	if len(c.Closed) != maxPorts || c.closedOn(8000) < 0 || c.closedOn(3059) >= 0 {
		t.Errorf("%d are left: %+v", len(c.Closed), c.Closed)
	}
	if c.tidy(now.Add(maxAge+10*time.Millisecond), handedOut); len(c.Closed) != 90 || c.closedOn(8009) >= 0 {
		t.Errorf("after thirty days and 10 ms %d are left: %+v", len(c.Closed), c.Closed)
	}
}

func FuzzDecode(f *testing.F) {
	var c contents
	c.add(closing{past: Past{Port: 80, PID: 1, Name: hostile, Directory: hostile, Started: noon.Add(-2 * time.Hour),
		Closed: noon.Add(-time.Hour),
		Reason: "ended"}, now: server.ID{Port: 80, PID: 2, Start: 3, Container: "abc"}})
	text, err := c.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"closed":[{"port":80,"name":"\u001b[2J\u202e\ud800",` +
		`"closed":"2026-03-04T11:00:00.123456789+23:59"}],` +
		`"live":[{"port":1,"pid":2,"restarts":1,"seen":"2026-03-04T11:00:00Z"}]}`))
	f.Add([]byte(`{"Closed":null,"LIVE":[],"boot":"` + strings.Repeat("x", 200) + `"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := decode(text, noon)
		if err != nil {
			if !reflect.DeepEqual(c, contents{}) {
				t.Errorf("%v, and yet %+v", err, c)
			}
			return
		}
		ports := map[uint16]bool{}
		for _, p := range c.Closed {
			timely := noon.Sub(p.Closed) <= maxAge && p.Closed.Sub(noon) <= skew && !p.Started.After(p.Closed)
			if p.Port == 0 || ports[p.Port] || p.PID < 0 || p.Restarts < 0 || !timely {
				t.Errorf("got %+v", p)
			}
			ports[p.Port] = true
			for _, s := range p.texts() {
				if !fit(s) || utf8.RuneCountInString(s) > maxDir {
					t.Errorf("got %q", s)
				}
			}
		}
		for _, l := range c.Live {
			if l.Port == 0 || l.Restarts < 1 || l.PID <= 0 && l.Container == "" || !fit(l.Container) {
				t.Errorf("got %+v", l)
			}
		}
		if len(c.Closed) > maxPorts || len(c.Live) > maxPorts || !fit(c.Boot) {
			t.Errorf("%d closed, %d live, boot %q", len(c.Closed), len(c.Live), c.Boot)
		}
		again, err := c.encode()
		if err != nil || len(again) > maxFile {
			t.Fatalf("%d bytes, %v", len(again), err)
		}
		d, err := decode(again, noon)
		if err != nil {
			t.Fatal(err)
		}
		if third, err := d.encode(); err != nil || !bytes.Equal(third, again) {
			t.Errorf("wrote %q, and %q once that was read, %v", again, third, err)
		}
	})
}
