//go:build linux && soak

package tray_test

import (
	"fmt"
	"slices"
	"time"
)

// This file has the steps about servers that change their process, project, addresses or ports.

// stepRestart ends a server and starts it again at once. Only frequent restarts bring a notice.
func (s *soak) stepRestart() string {
	v := s.some(func(v *testServer) bool { return !v.reuse && !v.stubborn })
	if v == nil {
		return ""
	}
	how := s.howFor(v)
	s.restart(v, how)
	return fmt.Sprintf("restart %v: %s", v, how.told)
}

func (s *soak) restart(v *testServer, how exit) *testServer {
	c := s.enter(&change{port: v.head(), of: v.subject()})
	begin := time.Now()
	v.end(how)
	heir := s.open(v.in, v.name, false, v.binds...)
	s.restarted(v, heir, c, time.Since(begin))
	return heir
}

// restarted records the new process of a server.
func (s *soak) restarted(v, heir *testServer, c *change, gap time.Duration) {
	if !v.settled() && v.up != nil {
		v.up.excuse = "it restarted at once"
		s.allow(c, isUp)
	}
	if gap > 3*time.Second { // this machine is busy
		s.allow(c, isUp, isDown)
	}
	key := markOf(v.subject())
	s.restarts[key] = append(s.restarts[key], time.Now())
	if recent(s.restarts[key], 70*time.Second) >= 4 {
		s.allow(c, isLooping)
	}
	heir.rest, heir.up, heir.restarts, heir.unsure = v.rest, v.up, v.restarts+1, v.unsure || gap > 3*time.Second
	s.servers[slices.Index(s.servers, v)] = heir
}

// stepFlap restarts a server five times.
func (s *soak) stepFlap() string {
	v := s.some(single)
	if v == nil {
		return ""
	}
	for range 5 {
		v = s.restart(v, pick(s.rng, exits))
		s.sync()
	}
	return fmt.Sprint("flap ", v)
}

// stepReplace ends a server and starts one of another project on its port.
func (s *soak) stepReplace() string {
	v := s.some(single)
	if v == nil {
		return ""
	}
	how := s.howFor(v)
	in := pick(s.rng, slices.DeleteFunc(slices.Clone(s.projects), func(p *workplace) bool { return p == v.in }))
	c := s.enter(&change{port: v.head(), of: v.subject(), may: []what{isReplaced, isDown, isUp}, must: true})
	v.end(how)
	heir := s.open(in, pick(s.rng, names), false, v.binds...)
	if after := s.silence(heir.subject()); after != c.silent || after != "" {
		c.silent, c.excuse = "", "the choices forbid notices about one of the two"
	}
	s.drop(v)
	heir.up = c
	s.servers = append(s.servers, heir)
	return fmt.Sprintf("replace %v by %v: %s", v, heir, how.told)
}

// stepHandOver makes a server fork, and ends the parent. Its child keeps the sockets.
func (s *soak) stepHandOver() string {
	v := s.some(func(v *testServer) bool { return !v.reuse && !v.stubborn && v.done != nil })
	if v == nil {
		return ""
	}
	heir := &testServer{actor: v.fork(), binds: v.binds, exposed: v.exposed}
	s.sync()
	how := pick(s.rng, exits[:2])
	s.enter(&change{port: v.head(), of: v.subject()})
	v.end(how)
	// The sockets stay open, so this is no restart.
	heir.rest, heir.up, heir.restarts, heir.unsure = v.rest, v.up, v.restarts, v.unsure
	s.servers[slices.Index(s.servers, v)] = heir
	return fmt.Sprintf("hand over %v to PID %d: %s", v, heir.pid, how.told)
}

// stepExpose moves a server from one interface to all of them, or back.
func (s *soak) stepExpose() string {
	v := s.some(single)
	if v == nil {
		return ""
	}
	was := v.binds[0]
	now := bind{"tcp4", "0.0.0.0", was.port}
	c := &change{port: was.port, of: v.subject(), may: []what{isExposed, isUp}, must: v.settled() && !v.exposed}
	if was.exposed() {
		now.host = "127.0.0.1"
		c.may, c.must = nil, false
	}
	s.enter(c)
	begin := time.Now()
	v.order("close %v", was)
	v.binds = nil
	v.listen(now)
	if time.Since(begin) > 3*time.Second {
		s.allow(c, isDown, isUp)
	}
	v.exposed, v.unsure, v.known = true, true, time.Time{}
	return fmt.Sprintf("%v was at %v", v, was)
}

// stepFurther opens or closes one port of a server.
func (s *soak) stepFurther() string {
	v := s.some(func(v *testServer) bool { return !v.reuse && !v.stubborn })
	if v == nil {
		return ""
	}
	v.unsure = v.unsure || v.restarts > 0 // the program counts restarts for each port
	if n := len(v.binds); n == 1 || n < 5 && s.rng.IntN(2) == 0 {
		b := s.bind()
		head := v.head()
		v.listen(b)
		if v.head() != head {
			s.enter(&change{port: b.port, of: v.subject(), may: []what{isUp}})
		}
		v.exposed = v.exposed || b.exposed()
		return fmt.Sprintf("%v listens at %v, too", v, b)
	}
	i := s.rng.IntN(len(v.binds))
	b := v.binds[i]
	if i == 0 {
		s.enter(&change{port: b.port, of: v.subject(), may: []what{isDown}, must: v.settled() && !v.remains(),
			by: v.pid, reason: "still running, no longer listening", names: v.in.name})
		v.up.excuse = "it ended soon"
		v.known = time.Time{}
	}
	v.close(b)
	if i == 0 { // the new head may have opened a moment ago
		s.enter(&change{port: v.head(), of: v.subject(), may: []what{isUp}})
	}
	return fmt.Sprintf("%v listens at %v no longer", v, b)
}
