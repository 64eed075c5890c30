//go:build linux

package tray_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"
)

// traffic counts the messages that a program sends and receives over a bus, without broadcasts of others.
type traffic struct {
	sent     int // its signals and method calls
	answers  int // answers to its calls
	asked    int // calls of its methods by others
	replies  int // its answers to them
	messages map[string]int
}

// own returns the number of messages that the program causes by itself.
func (t traffic) own() int { return t.sent + t.answers }

func (t traffic) all() int { return t.own() + t.asked + t.replies }

func (t traffic) minus(before traffic) traffic {
	d := traffic{t.sent - before.sent, t.answers - before.answers, t.asked - before.asked, t.replies - before.replies,
		map[string]int{}}
	for what, n := range t.messages {
		if n -= before.messages[what]; n > 0 {
			d.messages[what] = n
		}
	}
	return d
}

// String lists the number of messages of each kind.
func (t traffic) String() string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(t.messages)) {
		parts = append(parts, fmt.Sprintf("%d %s", t.messages[what], what))
	}
	return strings.Join(parts, ", ")
}

// A monitor sees every message on a bus, and counts the messages of one program.
type monitor struct {
	names map[string]bool // the program's unique names on the bus

	mu   sync.Mutex // guards the field below
	seen traffic
}

// monitorOf watches the messages of a program. The program must have made all its connections before.
func (d *testDesktop) monitorOf(p *process) *monitor {
	d.t.Helper()
	conn := d.connect(func(*dbus.Signal) {})
	m := &monitor{names: map[string]bool{}, seen: traffic{messages: map[string]int{}}}
	var names []string
	if err := conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		d.t.Fatal(err)
	}
	for _, name := range names {
		// A name that has left meanwhile is not the program's.
		pid, err := call(conn.BusObject(), "org.freedesktop.DBus.GetConnectionUnixProcessID", name)
		if err == nil && pid[0] == uint32(p.pid()) {
			m.names[name] = true
		}
	}
	if len(m.names) == 0 {
		d.t.Fatalf("process %d is not on the bus", p.pid())
	}
	if _, err := call(conn.BusObject(), "org.freedesktop.DBus.Monitoring.BecomeMonitor", []string{},
		uint32(0)); err != nil {
		d.t.Fatal(err)
	}
	messages := make(chan *dbus.Message, 1<<16) // if it is full, godbus drops messages
	conn.Eavesdrop(messages)
	ctx, cancel := context.WithCancel(context.Background())
	d.t.Cleanup(func() {
		conn.Eavesdrop(nil) // godbus would send to the channel after it has closed it
		cancel()
	})
	go func() {
		for {
			select {
			case msg := <-messages:
				m.count(msg)
			case <-ctx.Done():
				return
			}
		}
	}()
	return m
}

func (m *monitor) count(msg *dbus.Message) {
	field := func(f dbus.HeaderField) string {
		s, _ := msg.Headers[f].Value().(string)
		return s
	}
	from, to := m.names[field(dbus.FieldSender)], m.names[field(dbus.FieldDestination)]
	if !from && !to {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	answer := msg.Type == dbus.TypeMethodReply || msg.Type == dbus.TypeError
	switch {
	case from && !answer:
		m.seen.sent++
	case from:
		m.seen.replies++
	case answer:
		m.seen.answers++
	default:
		m.seen.asked++
	}
	if !answer {
		m.seen.messages[map[bool]string{true: "", false: "asked "}[from]+field(dbus.FieldMember)]++
	}
}

// traffic returns the counts so far.
func (m *monitor) traffic() traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.seen
	t.messages = maps.Clone(t.messages)
	return t
}
