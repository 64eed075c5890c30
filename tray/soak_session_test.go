//go:build linux && soak

package tray_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// This file has the steps about the surroundings of the program: panels, notification services and container engines.

// hear passes all new notices to the ledger.
func (s *soak) hear() {
	s.t.Helper()
	if s.notes == nil {
		return
	}
	all := s.notes.all()
	for _, n := range all[min(s.heardNotes, len(all)):] {
		if err := s.ledger.hear(n, time.Now()); err != nil {
			s.t.Fatal(err)
		}
	}
	s.heardNotes = len(all)
}

// stepPanel restarts the panel once or twice, with a pause of up to a second.
func (s *soak) stepPanel() string {
	times := 1 + s.qrng.IntN(2)
	for range times {
		s.enter(&change{may: []what{isNoHost}})
		s.host.stop()
		time.Sleep(time.Duration(s.qrng.IntN(1000)) * time.Millisecond)
		s.host = s.startHost()
		s.item = s.host.item(patience)
	}
	return fmt.Sprintf("panel restarted %d times", times)
}

// stepReader starts or stops another client that reads the menu in a loop.
func (s *soak) stepReader() string {
	if s.stopReading != nil {
		return fmt.Sprintf("the menu was read %d times by somebody else", s.stopReading())
	}
	conn := s.connect(func(*dbus.Signal) {})
	menu := conn.Object(s.item.sender, s.item.menuPath())
	ctx, cancel := context.WithCancel(context.Background())
	read := make(chan int, 1)
	go func() {
		n := 0
		for ; ctx.Err() == nil; n++ {
			menu.CallWithContext(ctx, menuName+".GetLayout", 0, int32(0), int32(-1), []string{})
		}
		read <- n
	}()
	s.stopReading = func() int {
		cancel()
		conn.Close()
		s.stopReading = nil
		return <-read
	}
	return "somebody else reads the menu in a loop"
}

// stepOpened opens the menu and closes it again.
func (s *soak) stepOpened() string {
	s.clicked()
	s.item.opened()
	time.Sleep(time.Duration(s.rng.IntN(3000)) * time.Millisecond)
	s.item.event(0, "closed")
	return "the menu is opened and closed"
}

func (s *soak) stepAbout() string {
	s.click("Settings", "About porttray")
	return "about"
}

// stepNotifier replaces the notification service. The new one works, hangs, refuses, or does not exist.
func (s *soak) stepNotifier() string {
	kinds := []string{"shows", "keeps", "hangs", "fails", "none"}
	kind := pick(s.qrng, kinds)
	if s.trouble != "" {
		kind = kinds[s.qrng.IntN(2)]
	}
	s.setNotifier(kind)
	return "the notification service " + kind
}

func (s *soak) setNotifier(kind string) {
	if s.notes != nil {
		s.notes.stop()
		s.hear()
		s.notes = nil
	}
	s.heardNotes = 0
	// Notices that are on their way now may get lost.
	s.trouble = "the notification service was another one"
	s.ledger.excuse(s.trouble, func(c *change) bool { return c.silent == "" })
	modes := map[string]notifierMode{"shows": notifierShows, "keeps": notifierKeeps, "hangs": notifierHangs,
		"fails": notifierFails}
	mode, ok := modes[kind]
	if ok {
		s.notes = s.startNotifier(mode)
	}
	if kind == "shows" || kind == "keeps" {
		s.trouble = ""
	}
}

// stepNoteClick clicks the latest notice that has buttons and is about one port.
func (s *soak) stepNoteClick() string {
	if s.notes == nil || s.trouble != "" {
		return ""
	}
	all := s.notes.all()
	for _, n := range slices.Backward(all) {
		if claims, err := claimsOf(n); err == nil && len(n.actions) > 0 && len(claims) == 1 {
			s.enter(&change{port: claims[0].port, may: []what{isOutcome}})
			s.notes.click(n, "open")
			return fmt.Sprint("click on ", n)
		}
	}
	return ""
}

// forwarder is the name of the process that holds a container's port.
const forwarder = "docker-proxy"

func (s *soak) newContainer() container {
	id := fmt.Sprintf("%064x", 1<<40+s.step)
	return container{id: id, name: fmt.Sprintf("box%d", s.step), image: "nginx:alpine", port: s.port()}
}

// boxAt returns the name of the container behind a forwarded port.
func (s *soak) boxAt(port uint16) string {
	for _, v := range s.boxes {
		if v.head() == port {
			return v.box.name
		}
	}
	return ""
}

const maxBoxes = 4

// stepContainer starts a container. Its port has a forwarder, or the system redirects it.
func (s *soak) stepContainer() string {
	if s.engineDown || len(s.boxes)+len(s.redirected) >= maxBoxes {
		return ""
	}
	c := s.newContainer()
	of := subject{c.port, "", forwarder}
	redirects := s.rng.IntN(3) == 0
	if redirects {
		of.name = ""
		s.redirected = append(s.redirected, c)
	}
	up := s.enter(&change{port: c.port, of: of, may: []what{isUp}, must: true, names: c.name})
	if !redirects {
		v := s.open(s.projects[0], forwarder, false, bind{"tcp4", "127.0.0.1", c.port})
		v.box, v.up = &c, up
		c.onStop = func() { v.end(exits[1]) }
		s.boxes = append(s.boxes, v)
	}
	s.engine.add(c)
	return fmt.Sprintf("container %s at %d, redirected: %v", c.name, c.port, redirects)
}

// stepContainerEnds ends a container, or stops it by the menu.
func (s *soak) stepContainerEnds() string {
	if s.engineDown || len(s.boxes)+len(s.redirected) == 0 {
		return ""
	}
	i := s.rng.IntN(len(s.boxes) + len(s.redirected))
	if i >= len(s.boxes) {
		return s.endRedirected(s.redirected[i-len(s.boxes)])
	}
	v := s.boxes[i]
	of := subject{v.head(), "", forwarder}
	if s.rng.IntN(2) == 0 && s.section(of) != "hidden" {
		s.enter(&change{port: v.head(), may: []what{isOutcome}, must: true})
		s.clickNode(rowLabelled(s.item.menu(), fmt.Sprintf("%d  ", v.head())).find("Stop container " + v.box.name))
		v.gone()
		s.drop(v)
		return "Stop container " + v.box.name
	}
	s.endBox(v)
	return "container " + v.box.name + " ends"
}

func (s *soak) endBox(v *testServer) {
	s.enter(&change{port: v.head(), of: subject{v.head(), "", forwarder}, may: []what{isDown}, must: v.settled(),
		reason: "container stopped", names: v.box.name})
	s.engine.remove(v.box.id)
	v.end(exits[1])
	s.drop(v)
}

func (s *soak) endRedirected(c container) string {
	s.enter(&change{port: c.port, of: subject{port: c.port}, may: []what{isDown}, reason: "container stopped",
		names: c.name})
	s.engine.remove(c.id)
	s.redirected = slices.DeleteFunc(s.redirected, func(d container) bool { return d.id == c.id })
	return "redirected container " + c.name + " ends"
}

// stepEngine ends the engine and the redirected containers, or starts the engine again.
func (s *soak) stepEngine() string {
	if s.engineDown {
		s.engine.begin()
		s.engineDown = false
		if !poll(patience, s.engine.followed) {
			s.t.Fatal("nobody listens to the restarted engine")
		}
		return "the engine runs again"
	}
	for _, c := range slices.Clone(s.redirected) {
		s.endRedirected(c)
	}
	s.engine.end()
	s.engineDown = true
	return "the engine ends"
}

// Clicks.

// clicked notes the time of a click. A click ends the alarm of the icon.
func (s *soak) clicked() { s.lastClick = time.Now() }

func (s *soak) clickNode(n *node) {
	s.t.Helper()
	s.clicked()
	s.item.click(n)
}

// click clicks an entry of the menu.
func (s *soak) click(path ...string) {
	s.t.Helper()
	s.clickNode(s.item.menu().find(path...))
}

// clickRow clicks an entry in the row of a server.
func (s *soak) clickRow(v *testServer, entry string) {
	s.t.Helper()
	stop := fmt.Sprintf("Stop %s (PID %d)", v.name, v.pid)
	for _, row := range allRows(s.item.menu()) {
		if row.find(stop) != nil {
			s.clickNode(row.find(entry))
			return
		}
	}
	s.t.Fatalf("there is no row of %v", v)
}

// allRows returns all rows of a menu and its submenus, including rows of servers that do not run.
func allRows(menu *node) (rows []*node) {
	for _, c := range menu.children {
		if rowLabels.MatchString(c.label) {
			rows = append(rows, c)
		}
		if strings.HasPrefix(c.label, "More (") || strings.HasPrefix(c.label, "Other (") {
			rows = append(rows, allRows(c)...)
		}
	}
	return rows
}

// rowLabelled returns the first row with that label prefix.
func rowLabelled(menu *node, begin string) *node {
	for _, row := range allRows(menu) {
		if strings.HasPrefix(row.label, begin) {
			return row
		}
	}
	return nil
}

// titleOf returns the name of a server in the menu.
func (s *soak) titleOf(v *testServer) string {
	if label := s.rules.of(v.subject()).label; label != "" {
		return label
	}
	if strings.EqualFold(v.in.name, v.name) {
		return v.in.name
	}
	return v.in.name + " · " + v.name
}

// followed reports whether a client follows the events of the engine.
func (e *engine) followed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.followers) > 0
}
