package tray

import (
	"encoding/xml"
	"errors"
	"slices"
	"testing"

	"porttray/watcher"
	"porttray/watcher/owner"
)

func TestAnnounce(t *testing.T) {
	opened := func(l watcher.Listener) watcher.Event { return watcher.Event{Kind: watcher.Opened, Listener: l} }
	closed := func(l watcher.Listener) watcher.Event { return watcher.Event{Kind: watcher.Closed, Listener: l} }
	unknown := watcher.Listener{Port: 3000, Addrs: server(3000, 1).Addrs}
	hostile := server(3000, 1)
	hostile.Owner.Name, hostile.Owner.Dir = "a\n<b>\x1b[1m", "/tmp/x\ny"
	for _, c := range []struct {
		name        string
		events      []watcher.Event
		now         []watcher.Listener
		title, body string // no title: nothing to tell
	}{
		{"nothing", nil, nil, "", ""},
		{"one opened", []watcher.Event{opened(server(3000, 1))}, nil, "Port 3000 opened", "node in /srv/shop"},
		{"its owner became known", []watcher.Event{opened(unknown)}, []watcher.Listener{server(3000, 1)}, "Port 3000 opened", "node in /srv/shop"},
		{"its owner stays unknown", []watcher.Event{opened(unknown)}, []watcher.Listener{unknown}, "Port 3000 opened", "unknown owner"},
		{"one closed", []watcher.Event{closed(server(3000, 1))}, nil, "Port 3000 closed", "node"},
		{"opened and closed again", []watcher.Event{opened(server(3000, 1)), closed(server(3000, 1))}, nil, "", ""},
		{"opened unknown and closed known", []watcher.Event{opened(unknown), closed(server(3000, 1))}, nil, "", ""},
		{"another one closed", []watcher.Event{opened(server(3000, 1)), closed(server(3000, 2))}, nil,
			"1 port opened, 1 closed", "opened: 3000 node in /srv/shop\nclosed: 3000 node"},
		{"two opened", []watcher.Event{opened(server(3000, 1)), opened(server(4000, 2))}, nil, "2 ports opened", "3000 node in /srv/shop\n4000 node in /srv/shop"},
		{"three closed", []watcher.Event{closed(server(1, 1)), closed(server(2, 2)), closed(server(3, 3))}, nil, "3 ports closed", "1 node\n2 node\n3 node"},
		{"many", []watcher.Event{opened(server(1, 1)), opened(server(2, 2)), opened(server(3, 3)), opened(server(4, 4)), opened(server(5, 5))}, nil,
			"5 ports opened", "1, 2, 3, 4, 5"},
		{"many of both", []watcher.Event{opened(server(1, 1)), opened(server(2, 2)), closed(server(3, 3)), closed(server(4, 4))}, nil,
			"2 ports opened, 2 closed", "opened: 1, 2\nclosed: 3, 4"},
		{"hostile", []watcher.Event{opened(hostile)}, nil, "Port 3000 opened", "a <b> [1m in /tmp/x y"},
	} {
		var b batch
		for _, e := range c.events {
			b.add(e)
		}
		got, ok := announce(b, watcher.Snapshot{Listeners: c.now})
		if ok != (c.title != "") || got.title != c.title || got.body != c.body {
			t.Errorf("%s: got %q / %q, want %q / %q", c.name, got.title, got.body, c.title, c.body)
		}
	}
}

func TestOutcome(t *testing.T) {
	l := server(3000, 4242)
	for _, c := range []struct {
		force       bool
		result      owner.Result
		title, body string
		others      []watcher.Listener
	}{
		{false, owner.Result{Outcome: owner.Freed, Ended: true}, "Port 3000 is free", "node (PID 4242) stopped", nil},
		{true, owner.Result{Outcome: owner.Freed, Ended: true}, "Port 3000 is free", "node (PID 4242) killed", nil},
		{false, owner.Result{Outcome: owner.Freed, Ended: true}, "Port 3000 is free", "node (PID 4242) stopped, which closed 3001, 9229 as well",
			[]watcher.Listener{server(3001, 4242), server(9229, 4242)}},
		{false, owner.Result{Outcome: owner.StillRunning, Ended: true}, "Port 3000 is still in use", "node (PID 4242) has ended, but something holds the port still", nil},
		{false, owner.Result{Outcome: owner.Freed}, "Port 3000 is free", "node (PID 4242) runs on, but no longer listens there", nil},
		{false, owner.Result{Outcome: owner.Taken, Ended: true, By: owner.Process{PID: 9, Name: "ruby"}}, "Port 3000 was taken over", "node (PID 4242) let it go, and now ruby (PID 9) has it", nil},
		{true, owner.Result{Outcome: owner.Taken}, "Port 3000 was taken over", "node (PID 4242) let it go, and now a process that this user cannot see has it", nil},
		{false, owner.Result{Outcome: owner.StillRunning}, "Port 3000 is still in use", "node (PID 4242) did not stop within 5 seconds; Kill would force it", nil},
		{true, owner.Result{Outcome: owner.StillRunning}, "Port 3000 is still in use", "node (PID 4242) is still there 5 seconds after Kill", nil},
		{false, owner.Result{Outcome: owner.Unclear}, "Port 3000 cannot be looked at", "node (PID 4242) was asked to end; what came of it cannot be seen", nil},
		{true, owner.Result{Outcome: owner.Unclear, Ended: true}, "Port 3000 cannot be looked at", "node (PID 4242) has ended; whether the port is free cannot be seen", nil},
		{false, owner.Result{Outcome: owner.AlreadyGone}, "Port 3000: nothing was stopped", "node (PID 4242) no longer listens there", nil},
		{true, owner.Result{Outcome: owner.NotPermitted}, "Not permitted to kill node", "The system does not let this user kill node (PID 4242)", nil},
		{false, owner.Result{Outcome: owner.Refused, Reason: "part of the system"}, "Port 3000: nothing was stopped", "node (PID 4242): part of the system", nil},
		{false, owner.Result{Err: errors.New("list TCP sockets: no memory")}, "Could not stop node", "list TCP sockets: no memory", nil},
	} {
		if got := outcome(l, c.others, c.force, c.result); got != (notice{title: c.title, body: c.body}) {
			t.Errorf("outcome %d (force %v): got %q / %q, want %q / %q", c.result.Outcome, c.force, got.title, got.body, c.title, c.body)
		}
	}
}

func TestToastXML(t *testing.T) {
	type text struct {
		Text string `xml:",chardata"`
	}
	var got struct {
		Launch string `xml:"launch,attr"`
		Texts  []text `xml:"visual>binding>text"`
		Audio  struct {
			Silent bool `xml:"silent,attr"`
		} `xml:"audio"`
		Actions []struct {
			Arguments string `xml:"arguments,attr"`
		} `xml:"actions>action"`
	}
	hostile := `</text><audio/> ]]> & "x" $(calc)`
	source := toastXML(notice{title: hostile, body: hostile + "\x00\xff", id: watcher.ID{Port: 3000}})
	if err := xml.Unmarshal([]byte(source), &got); err != nil {
		t.Fatalf("%v in %s", err, source)
	}
	if want := []text{{hostile}, {hostile + "\uFFFD\uFFFD"}}; !slices.Equal(got.Texts, want) {
		t.Errorf("the texts are %q, want %q", got.Texts, want)
	}
	const url = "http://localhost:3000"
	if got.Launch != url || len(got.Actions) != 1 || got.Actions[0].Arguments != url || !got.Audio.Silent {
		t.Errorf("%+v in %s", got, source)
	}
}

func TestDefused(t *testing.T) {
	hostile := "$(calc) `n <a> ]]> & \"x\""
	if got, want := defused(hostile, "windows"), "＄(calc) 'n ‹a› ]]› + 'x'"; got != want {
		t.Errorf("on Windows: got %q, want %q", got, want)
	}
	if got := defused(hostile, "linux"); got != hostile {
		t.Errorf("on Linux: got %q", got)
	}
}
