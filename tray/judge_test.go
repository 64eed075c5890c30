package tray

import (
	"testing"
	"time"

	"porttray/watcher"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// The exit of a process after it closed its port is given as the reason. A Ctrl-C gives no notice.
func TestJudgeExplains(t *testing.T) {
	l := serverAt(3000, 1)
	s := server.Server{Listener: l}
	for _, c := range []struct {
		exit  owner.Exit
		want  string
		quiet bool
	}{
		{owner.Exit{}, "still running, no longer listening", false},
		{owner.Exit{How: owner.Exited, Status: 3}, "exited with status 3", false},
		{owner.Exit{How: owner.Killed, Signal: "SIGINT"}, "killed by SIGINT", true},
	} {
		j := newJudge()
		j.observe([]watcher.Event{{Kind: watcher.Closed, Server: server.Alone(l),
			Reason: watcher.Reason{Cause: watcher.OwnerGoesOn}}}, []server.Server{s}, nil, false, noon)
		if c.exit != (owner.Exit{}) {
			j.explain(watcher.Event{Kind: watcher.Explained, Server: s,
				Reason: watcher.Reason{Cause: watcher.OwnerEnded, Exit: c.exit}})
		}
		news := j.ripen(nil, noon.Add(watcher.RestartGrace))
		if len(news) != 1 || news[0].reason.String() != c.want || news[0].reason.Interrupted() != c.quiet {
			t.Errorf("%v: got %+v", c.exit, news)
		}
	}
}

// A supervisor that ended together with its server does not wait for a restart.
func TestJudgeForgetsASupervisor(t *testing.T) {
	l := serverAt(3000, 1)
	l.Facts.Supervisor = facts.Supervisor{ID: owner.ID{PID: 9}, Name: "nodemon"}
	j := newJudge()
	j.supervisorEnded = func(s facts.Supervisor) bool { return s.PID == 9 }
	reason := watcher.Reason{Cause: watcher.OwnerEnded, Supervisor: "nodemon"}
	j.observe([]watcher.Event{{Kind: watcher.Closed, Server: server.Alone(l), Reason: reason}},
		[]server.Server{server.Alone(l)}, nil, false, noon)
	if news := j.ripen(nil, noon.Add(watcher.RestartGrace)); len(news) != 1 || news[0].reason.Supervisor != "" {
		t.Errorf("got %+v", news)
	}
}

// A server that is back has not ended, even if its owner becomes known later.
func TestJudgeSeesThatAServerIsBack(t *testing.T) {
	was, is := serverAt(3000, 1), serverAt(3000, 2)
	unseen := is
	unseen.Owner = owner.Process{}
	j := newJudge()
	j.observe([]watcher.Event{{Kind: watcher.Closed, Server: server.Alone(was)}},
		[]server.Server{server.Alone(was)}, nil, false, noon)
	j.observe([]watcher.Event{{Kind: watcher.Opened, Server: server.Alone(unseen)}}, nil,
		[]server.Server{server.Alone(unseen)}, false, noon.Add(time.Second))
	j.ripen([]server.Server{{Listener: unseen}}, noon.Add(time.Second+minLifetime))
	if news := j.ripen([]server.Server{{Listener: is}}, noon.Add(watcher.RestartGrace)); len(news) > 0 {
		t.Errorf("got %+v", news)
	}
}

// The judge gets no event when the person stops a server or its owner becomes known. It must forget those, too.
func TestJudgeForgetsWhatWasExposed(t *testing.T) {
	j := newJudge()
	for i := range int32(1000) {
		l := serverAt(3000, 1+i, "0.0.0.0")
		j.observe([]watcher.Event{{Kind: watcher.Exposed, Server: server.Alone(l)}}, nil,
			[]server.Server{server.Alone(l)}, false, noon)
	}
	if len(j.exposed) > 1 {
		t.Errorf("%d are remembered, of one that is there", len(j.exposed))
	}
}

// A server that opened right before a sleep did not open during the sleep.
func TestJudgeTellsOfWhatOpenedBeforeASleep(t *testing.T) {
	servers := []server.Server{{Listener: serverAt(3000, 1)}}
	j := newJudge()
	j.observe([]watcher.Event{{Kind: watcher.Opened, Server: server.Alone(servers[0].Listener)}},
		nil, servers, false, noon)
	j.observe(nil, servers, servers, true, noon.Add(time.Second))
	j.observe([]watcher.Event{{Kind: watcher.Opened, Server: server.Alone(serverAt(4000, 2))}},
		nil, servers, true, noon.Add(time.Second))
	if news := j.ripen(servers, noon.Add(time.Second+minLifetime)); len(news) != 1 || news[0].on.Port != 3000 {
		t.Errorf("got %+v", news)
	}
}

// A server that becomes a daemon passes its socket to another process. It still gets its notice.
func TestJudgeFollowsADaemon(t *testing.T) {
	first, daemon := serverAt(3000, 1), serverAt(3000, 2)
	j := newJudge()
	j.observe([]watcher.Event{{Kind: watcher.Opened, Server: server.Alone(first)}}, nil, nil, false, noon)
	if news := j.ripen([]server.Server{server.Alone(daemon)}, noon.Add(minLifetime)); len(news) != 1 ||
		news[0].on.Owner.PID != 2 {
		t.Errorf("got %+v, want that the second process is up", news)
	}
}
