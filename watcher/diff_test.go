package watcher

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"porttray/watcher/owner"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

// parse reads listeners: "80/7@127.0.0.1,::1" is port 80 of process 7 with two bind addresses. "80/7" has 127.0.0.1
// alone. "80/7.2" is a process 7 with another start. "80/0" has an unknown owner. Spaces separate listeners.
func parse(t testing.TB, text string) []server.Listener {
	t.Helper()
	var list []server.Listener
	for _, field := range strings.Fields(text) {
		name, addrs, _ := strings.Cut(field, "@")
		port, process, _ := strings.Cut(name, "/")
		pid, start, _ := strings.Cut(process, ".")
		l := server.Listener{Port: uint16(number(t, port)), Owner: owner.Process{PID: int32(number(t, pid))}}
		if l.Owner.Known() {
			l.Owner.Start = uint64(number(t, cmp.Or(start, "1")))
		}
		for addr := range strings.SplitSeq(cmp.Or(addrs, "127.0.0.1"), ",") {
			l.Addrs = append(l.Addrs, netip.MustParseAddr(addr))
		}
		list = append(list, l)
	}
	slices.SortFunc(list, server.Listener.Compare)
	return list
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Error(err)
	}
	return n
}

// format writes listeners as parse reads them.
func format(list ...server.Listener) string {
	var fields []string
	for _, l := range list {
		text := fmt.Sprintf("%d/%d", l.Port, l.Owner.PID)
		if l.Owner.Start > 1 {
			text += fmt.Sprintf(".%d", l.Owner.Start)
		}
		if addrs := addresses(l); addrs != "127.0.0.1" {
			text += "@" + addrs
		}
		fields = append(fields, text)
	}
	return strings.Join(fields, " ")
}

func addresses(l server.Listener) string {
	var list []string
	for _, a := range l.Addrs {
		list = append(list, a.String())
	}
	return strings.Join(list, ",")
}

func formatEvents(events []Event) string {
	var list []string
	for _, e := range events {
		list = append(list, e.Kind.String()+" "+format(e.Listener))
	}
	return strings.Join(list, "; ")
}

func TestDiff(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"nothing at all", "", "", ""},
		{"nothing new", "80/7 90/8", "80/7 90/8", ""},
		{"opened", "80/7", "80/7 90/8", "opened 90/8"},
		{"closed", "80/7 90/8", "80/7", "closed 90/8"},
		{"order", "80/7 90/8 90/9@::1", "60/5 60/6@::1 85/4",
			"closed 80/7; closed 90/8; closed 90/9@::1; opened 60/5; opened 60/6@::1; opened 85/4"},
		{"first and last port", "1/7", "65535/7", "closed 1/7; opened 65535/7"},
		{"restarted", "80/7", "80/8", "closed 80/7; opened 80/8"},
		{"PID used again", "80/7", "80/7.2", "closed 80/7; opened 80/7.2"},

		{"address added", "80/7", "80/7@127.0.0.1,::1", ""},
		{"address removed", "80/7@127.0.0.1,::1", "80/7@::1", ""},
		{"address replaced", "80/7", "80/7@127.0.0.2", ""},
		{"exposed", "80/7", "80/7@0.0.0.0", "exposed 80/7@0.0.0.0"},
		{"exposed on one more address", "80/7", "80/7@127.0.0.1,192.0.2.1", "exposed 80/7@127.0.0.1,192.0.2.1"},
		{"exposed before", "80/7@::", "80/7@0.0.0.0,::", ""},
		{"exposed no longer", "80/7@0.0.0.0", "80/7", ""},
		{"opened to the network", "", "80/7@0.0.0.0", "opened 80/7@0.0.0.0"},
		{"second owner on another address", "80/7", "80/7 80/8@::1", "opened 80/8@::1"},
		{"one of two owners left", "80/7 80/8@::1", "80/8@::1", "closed 80/7"},
		{"two owners swap addresses", "80/7 80/8@::1", "80/7@::1 80/8", ""},

		{"owner came to be known", "80/0", "80/7", ""},
		{"owner ceased to be known", "80/7", "80/0", ""},
		{"owner known and address added", "80/0", "80/7@127.0.0.1,::1", ""},
		{"unknown owner on another address", "80/0@::1", "80/7", "closed 80/0@::1; opened 80/7"},
		{"unknown owner on another port", "80/0", "81/7", "closed 80/0; opened 81/7"},
		{"unknown owner beside a known one", "80/7", "80/0@::1 80/7", "opened 80/0@::1"},
		{"owners of a port came to be known", "80/0@127.0.0.1,::1", "80/7 80/8@::1", ""},
		{"owners of a port ceased to be known", "80/7 80/8@::1", "80/0@127.0.0.1,::1", ""},
		{"unknown owner has a namesake", "80/0", "80/0 80/7", "opened 80/7"},
		{"unknown owner keeps its namesake", "80/0 80/7", "80/0", "closed 80/7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			old, new := snapshotOf(parse(t, tt.old)...), snapshotOf(parse(t, tt.new)...)
			if got := formatEvents(Diff(old, new)); got != tt.want {
				t.Errorf("Diff(%s → %s)\n got %q\nwant %q", tt.old, tt.new, got, tt.want)
			}
		})
	}
}

func TestConfirm(t *testing.T) {
	tests := []struct {
		name                    string
		believed, doubted, seen string
		why                     doubt // about doubted; the default is missing
		gone                    int32
		want, wantDoubted       string
	}{
		{name: "nothing changed", believed: "80/7", seen: "80/7", want: "80/7"},
		{name: "opened", believed: "80/7", seen: "80/7 90/8", want: "80/7 90/8"},
		{name: "addresses changed", believed: "80/7", seen: "80/7@::1", want: "80/7@::1"},
		{name: "missing", believed: "80/7 90/8", seen: "90/8", want: "80/7 90/8", wantDoubted: "80/7"},
		{name: "missing again", believed: "80/7 90/8", doubted: "80/7", seen: "90/8", want: "90/8"},
		{name: "back again", believed: "80/7 90/8", doubted: "80/7", seen: "80/7 90/8", want: "80/7 90/8"},
		{name: "another one missing", believed: "80/7 90/8", doubted: "80/7", seen: "80/7", want: "80/7 90/8",
			wantDoubted: "90/8"},
		{name: "all missing", believed: "80/7 90/0", seen: "", want: "80/7 90/0", wantDoubted: "80/7 90/0"},

		{name: "owner gone", believed: "80/7 90/8", seen: "90/8", gone: 7, want: "90/8"},
		{name: "another owner gone", believed: "80/7 90/8", seen: "", gone: 7, want: "90/8", wantDoubted: "90/8"},
		{name: "owner gone but seen", believed: "80/7", seen: "80/7", gone: 7, want: "80/7"},
		{name: "restarted", believed: "80/7", seen: "80/8", gone: 7, want: "80/8"},
		{name: "another owner while the first lives", believed: "80/7", seen: "80/8", want: "80/7 80/8",
			wantDoubted: "80/7"},

		{name: "owner came to be known", believed: "80/0", seen: "80/7", want: "80/7"},
		{name: "owner ceased to be known", believed: "80/7", seen: "80/0", want: "80/7", wantDoubted: "80/7"},
		{name: "owner still not known", believed: "80/7", doubted: "80/7", why: unseen, seen: "80/0", want: "80/0"},
		{name: "owner known again", believed: "80/7", doubted: "80/7", why: unseen, seen: "80/7", want: "80/7"},
		{name: "first unseen and then missing", believed: "80/7", doubted: "80/7", why: unseen, seen: "", want: "80/7",
			wantDoubted: "80/7"},
		{name: "first missing and then unseen", believed: "80/7", doubted: "80/7", seen: "80/0", want: "80/7",
			wantDoubted: "80/7"},
		{name: "an unseen owner after one that is gone", believed: "80/7", doubted: "80/7", why: unseen, seen: "80/0",
			gone: 7, want: ""},
		{name: "owners ceased to be known", believed: "80/7 80/8@::1", seen: "80/0@127.0.0.1,::1",
			want: "80/7 80/8@::1", wantDoubted: "80/7 80/8@::1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doubted := map[server.ID]doubt{}
			for _, l := range parse(t, tt.doubted) {
				doubted[l.ID()] = cmp.Or(tt.why, missing)
			}
			seen := parse(t, tt.seen)
			gone := func(l server.Listener) bool { return l.Owner.Known() && l.Owner.PID == tt.gone }
			got, doubts := confirm(parse(t, tt.believed), doubted, seen, gone)
			if format(got...) != tt.want {
				t.Errorf("believed %q, seen %q: got %q, want %q", tt.believed, tt.seen, format(got...), tt.want)
			}
			var inDoubt []server.Listener
			for _, l := range got {
				if doubts[l.ID()] != 0 {
					inDoubt = append(inDoubt, l)
				}
			}
			if format(inDoubt...) != tt.wantDoubted || len(doubts) != len(inDoubt) {
				t.Errorf("believed %q, seen %q: doubts %v, want %q", tt.believed, tt.seen, doubts, tt.wantDoubted)
			}
			if format(seen...) != tt.seen {
				t.Errorf("the scan's own list has become %q, want %q", format(seen...), tt.seen)
			}
		})
	}
}

// unpack makes a listener from every four bytes: few ports, processes and addresses, so that they often coincide.
func unpack(data []byte) []server.Listener {
	addrs := []netip.Addr{
		netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::"),
		netip.MustParseAddr("::1"),
	}
	all := map[server.ID]*server.Listener{}
	for chunk := range slices.Chunk(data, 4) {
		if len(chunk) < 4 {
			break
		}
		l := server.Listener{Port: 80 + uint16(chunk[0]%3), Owner: owner.Process{PID: int32(chunk[1] % 4)}}
		if l.Owner.Known() {
			l.Owner.Start = 1 + uint64(chunk[2]%2)
		}
		for i, addr := range addrs {
			if bits := chunk[3]%15 + 1; bits>>i&1 == 1 {
				l.Addrs = append(l.Addrs, addr)
			}
		}
		if same := all[l.ID()]; same != nil {
			same.Addrs = append(same.Addrs, l.Addrs...)
			continue
		}
		all[l.ID()] = &l
	}
	return sorted(all, false)
}

func addSnapshots(f *testing.F) {
	f.Add([]byte{}, []byte{0, 1, 0, 1})
	f.Add([]byte{0, 1, 0, 1}, []byte{0, 1, 0, 9, 1, 2, 0, 1})       // one more address and one more listener
	f.Add([]byte{0, 1, 0, 1, 0, 2, 0, 7}, []byte{0, 0, 0, 9})       // two owners of a port become unknown
	f.Add([]byte{0, 0, 0, 1, 2, 3, 0, 1}, []byte{0, 1, 1, 1})       // an owner becomes known, another listener closes
	f.Add([]byte{0, 0, 0, 1, 0, 1, 0, 7}, []byte{0, 0, 0, 9})       // one of a known and an unknown owner remains
	f.Add([]byte{1, 1, 0, 1}, []byte{1, 1, 1, 1, 0, 1, 0, 1, 2, 3}) // a PID is reused
}

func FuzzDiff(f *testing.F) {
	addSnapshots(f)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		old, new := snapshotOf(unpack(a)...), snapshotOf(unpack(b)...)
		events := Diff(old, new)
		exposed := func(e Event) bool { return e.Kind == Exposed }
		for _, e := range events {
			l := e.Widened()
			if was := l.Exposed() && !slices.ContainsFunc(e.Before.On(l.Port), server.Listener.Exposed); exposed(e) && !was {
				t.Errorf("%s is wrong: it was %s before", formatEvents([]Event{e}), format(e.Before.Parts...))
			}
		}
		events = slices.DeleteFunc(events, exposed)
		defer func() {
			if t.Failed() {
				t.Logf("old %s\nnew %s\nevents %s", format(old.Listeners...), format(new.Listeners...),
					formatEvents(events))
			}
		}()
		if same := Diff(old, old); len(same) > 0 {
			t.Errorf("comparing old with itself: %s", formatEvents(same))
		}
		if !slices.IsSortedFunc(events, func(e, f Event) int {
			return cmp.Or(cmp.Compare(f.Kind, e.Kind), e.Listener.Compare(f.Listener)) // Closed sorts first
		}) {
			t.Error("the events are out of order")
		}
		happened := map[server.ID]bool{}
		for i, e := range events {
			from, to := old, new
			if e.Kind == Opened {
				from, to = new, old
			}
			_, there := from.Find(e.ID())
			stays := slices.ContainsFunc(e.On(e.Port), func(l server.Listener) bool { return server.HasID(to.Listeners, l.ID()) })
			if !there || stays || happened[e.ID()] {
				t.Errorf("%s is wrong", formatEvents(events[i:i+1]))
			}
			happened[e.ID()] = true
		}
		// The reverse diff turns Opened into Closed. If a part of a server remains, Diff reports a new head only if a
		// head closes, or if people are more likely to mean the new one.
		whole := func(parts []server.Listener) bool {
			return len(unmatched(parts, old.Listeners)) == len(parts) ||
				len(unmatched(parts, new.Listeners)) == len(parts)
		}
		partly := func(e Event) bool { return !whole(e.Parts) }
		mirror := slices.DeleteFunc(slices.DeleteFunc(Diff(new, old), exposed), partly)
		for i := range mirror {
			mirror[i].Kind = Opened + Closed - mirror[i].Kind
		}
		slices.SortStableFunc(mirror, func(e, f Event) int { return cmp.Compare(f.Kind, e.Kind) })
		if events := slices.DeleteFunc(slices.Clone(events), partly); formatEvents(mirror) != formatEvents(events) {
			t.Errorf("the mirrored reverse diff: %s", formatEvents(mirror))
		}
		for _, side := range [][2]Snapshot{{old, new}, {new, old}} {
			for _, s := range side[0].Servers {
				if !happened[s.ID()] && len(unmatched(s.Parts, side[1].Listeners)) == len(s.Parts) {
					t.Errorf("no event for %s", format(s.Listener))
				}
			}
		}
	})
}

// unmatched returns the listeners in list without a counterpart in other. A listener with an unknown owner may be the
// counterpart of one with a known owner.
func unmatched(list, other []server.Listener) []server.Listener {
	return slices.DeleteFunc(slices.Clone(list), func(l server.Listener) bool {
		return slices.ContainsFunc(other, func(m server.Listener) bool {
			attributed := l.Port == m.Port && l.Owner.Known() != m.Owner.Known() && overlap(l.Addrs, m.Addrs)
			return l.ID() == m.ID() || attributed
		})
	})
}

func FuzzConfirm(f *testing.F) {
	addSnapshots(f)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		believed, seen := unpack(a), unpack(b)
		alive := func(server.Listener) bool { return false }
		once, doubted := confirm(believed, nil, seen, alive)
		for _, e := range Diff(snapshotOf(believed...), snapshotOf(once...)) {
			if e.Kind == Closed {
				t.Errorf("believed %s, seen %s: a single scan gave %s", format(believed...), format(seen...),
					formatEvents([]Event{e}))
			}
		}
		twice, doubted := confirm(once, doubted, seen, alive)
		if format(twice...) != format(seen...) || len(doubted) > 0 {
			t.Errorf("believed %s, seen twice %s: got %s, in doubt %v", format(believed...), format(seen...),
				format(twice...), doubted)
		}
		for _, list := range [][]server.Listener{once, twice} {
			if !slices.IsSortedFunc(list, server.Listener.Compare) ||
				len(slices.CompactFunc(slices.Clone(list),
					func(l, m server.Listener) bool { return l.ID() == m.ID() })) != len(list) {
				t.Errorf("%s is not sorted and distinct", format(list...))
			}
		}
	})
}

// snapshotOf returns a snapshot of sorted listeners and their servers.
func snapshotOf(listeners ...server.Listener) Snapshot {
	return Snapshot{Listeners: listeners, Servers: server.Servers(listeners, servertest.Dynamic)}
}
