package watcher

import (
	"context"
	"time"

	"porttray/watcher/port"
	"porttray/watcher/server"
)

// lookLimit is how long Look waits for the facts about the listeners.
const lookLimit = 2 * time.Second

// Look scans once and finds out whose servers the listeners are, as a Watcher does for its first update. Facts that
// take more than two seconds are missing. With everywhere, the snapshot also has listeners that are not reachable over
// loopback. Look takes as long as Scan, and about a millisecond for each process that listens.
func Look(ctx context.Context, everywhere bool) (Snapshot, error) {
	s, err := lookOnce(ctx, everywhere)
	if err == nil {
		s.find(lookUp(ctx, systemNaming(), s.Listeners, s.Listeners))
	}
	return s, err
}

// LookAt is Look with the facts about one port only. It lists all listeners, even those not reachable over loopback.
func LookAt(ctx context.Context, p uint16) (Snapshot, error) {
	s, err := lookOnce(ctx, true)
	if err == nil {
		s.find(lookUp(ctx, systemNaming(), s.Listeners, server.OnPort(s.Listeners, p)))
	}
	return s, err
}

// find sets the listeners, and derives their servers.
func (s *Snapshot) find(listeners []server.Listener) {
	s.Listeners, s.Servers = listeners, server.Servers(listeners, port.Read().HandedOut)
}

// lookOnce scans until the search for owners is complete.
func lookOnce(ctx context.Context, everywhere bool) (Snapshot, error) {
	src := newSource(everywhere)
	defer src.close()
	began := time.Now()
	for {
		r := believed(ctx, src.scan, nil)
		if r.err != nil || !r.Searching || time.Since(began) > lookLimit {
			return r.Snapshot, r.err
		}
	}
}

// lookUp returns the listeners, with the facts about some of them.
func lookUp(ctx context.Context, n naming, listeners, about []server.Listener) []server.Listener {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	n.start()
	n.outdated = true // also ask engines about ports that they publish without a socket
	n.begin(ctx, about)
	for n.busy() {
		select {
		case t := <-n.results:
			n.learn(t)
		case a := <-n.answers:
			n.hear(a)
		case <-ctx.Done():
			return n.name(listeners, time.Now())
		}
		n.begin(ctx, about) // a process may turn out to be in a container
	}
	return n.name(listeners, time.Now())
}
