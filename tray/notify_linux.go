package tray

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"image"
	"image/draw"
	"image/png"
	"slices"

	"github.com/godbus/dbus/v5"

	"porttray/assets"
	"porttray/watcher"
)

// The notification service, see https://specifications.freedesktop.org/notification-spec/.
const (
	notifierName  = "org.freedesktop.Notifications"
	notifierPath  = "/org/freedesktop/Notifications"
	actionInvoked = notifierName + ".ActionInvoked"
	noticeClosed  = notifierName + ".NotificationClosed"
)

// matchNotices has the bus pass on what the notification service says about notices, and that another one takes its place.
func matchNotices(conn *dbus.Conn) error {
	return errors.Join(
		conn.AddMatchSignal(dbus.WithMatchSender(notifierName), dbus.WithMatchInterface(notifierName), dbus.WithMatchMember("ActionInvoked")),
		conn.AddMatchSignal(dbus.WithMatchSender(notifierName), dbus.WithMatchInterface(notifierName), dbus.WithMatchMember("NotificationClosed")),
		conn.AddMatchSignal(dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, notifierName)),
	)
}

// send shows a notice, without sound. Where the session has no notification service, beeep is left to find another way.
func (s *session) send(ctx context.Context, n notice) error {
	// The numbers of notices mean nothing to another service, so it is called by the name that nobody has after it.
	by, err := s.ownerOf(ctx, notifierName)
	if err != nil {
		return fmt.Errorf("look for the notification service: %w", err)
	}
	if by == "" || by != s.shown.by {
		// This starts the service if it can be started.
		var capabilities []string
		service := s.conn.Object(notifierName, notifierPath)
		if err := service.CallWithContext(ctx, notifierName+".GetCapabilities", 0).Store(&capabilities); err != nil {
			var refused dbus.Error
			if errors.As(err, &refused) {
				return s.plain.send(ctx, notice{title: n.title, body: html.EscapeString(n.body)})
			}
			return fmt.Errorf("ask the notification service: %w", err)
		}
		if err := s.conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, notifierName).Store(&by); err != nil {
			return fmt.Errorf("look for the notification service: %w", err)
		}
		s.shown.begin(by, abilitiesOf(capabilities))
		s.service.Store(by)
	}
	args := request(n, s.shown.latest(n.key), s.shown.can)
	call := s.conn.Object(by, notifierPath).CallWithContext(ctx, notifierName+".Notify", 0, args...)
	var number uint32
	if err := call.Store(&number); err != nil {
		return fmt.Errorf("send a notification: %w", err)
	}
	s.shown.add(number, n, call.ResponseSequence)
	return nil
}

// abilities are what a service can do, as far as it matters here.
type abilities struct{ markup, actions bool }

func abilitiesOf(capabilities []string) abilities {
	return abilities{markup: slices.Contains(capabilities, "body-markup"), actions: slices.Contains(capabilities, "actions")}
}

// request returns the arguments of Notify for a service that can do that.
func request(n notice, replaces uint32, can abilities) []any {
	body := n.body
	if can.markup {
		body = html.EscapeString(body)
	}
	actions := []string{}
	if n.open && can.actions {
		// A click on the notice, and a button. xfce4-notifyd makes a button of the former as well if it has a label.
		actions = []string{"default", "", "open", "Open"}
	}
	hints := map[string]dbus.Variant{
		"urgency":        dbus.MakeVariant(byte(1)),
		"suppress-sound": dbus.MakeVariant(true),
		"desktop-entry":  dbus.MakeVariant("porttray"),
		"image-data":     dbus.MakeVariant(noticeImage()),
	}
	return []any{"porttray", replaces, "", n.title, body, actions, hints, int32(-1)}
}

// hear takes in a signal that may be about a notice. Only what the service that showed it says counts: any program can send
// signals that look like it.
func (s *session) hear(sig *dbus.Signal) {
	if name, before, _ := ownerChange(sig); name == notifierName {
		s.shown.end(before)
		return
	}
	if sig.Sender != s.shown.by || len(sig.Body) != 2 {
		return
	}
	number, ok := sig.Body[0].(uint32)
	_, reason := sig.Body[1].(uint32)
	switch {
	case !ok:
	case sig.Name == noticeClosed && reason:
		s.shown.closed(number, sig.Sequence)
	case sig.Name == actionInvoked && (sig.Body[1] == "default" || sig.Body[1] == "open"):
		if id, ok := s.shown.click(number); ok {
			select {
			case s.clicked <- id:
			default: // an earlier click has not been seen to yet
			}
		}
	}
}

// maxShown is how many notices are remembered.
const maxShown = 64

// shown is what is known of the notices that one service shows: what to replace, and what a click means.
type shown struct {
	by      string        // the unique bus name of the service
	can     abilities     // of the service
	notices []shownNotice // oldest first
}

type shownNotice struct {
	number uint32 // the service's id for it
	notice
	since dbus.Sequence // what was received before that is about an earlier notice of the same number
}

// begin notes which service shows notices from now on. What another one showed is forgotten.
func (s *shown) begin(service string, can abilities) {
	if s.by != service {
		*s = shown{by: service}
	}
	s.can = can
}

// end notes that a service shows notices no longer.
func (s *shown) end(service string) {
	if s.by == service {
		*s = shown{}
	}
}

// latest returns the number of the notice that a new one with that key replaces, or 0.
func (s *shown) latest(key string) uint32 {
	for _, n := range slices.Backward(s.notices) {
		if key != "" && n.key == key {
			return n.number
		}
	}
	return 0
}

// add notes a notice that the service began to show at that point of the connection. What it replaces is forgotten.
func (s *shown) add(number uint32, n notice, since dbus.Sequence) {
	s.forget(number)
	if len(s.notices) == maxShown {
		s.notices = slices.Delete(s.notices, 0, 1)
	}
	s.notices = append(s.notices, shownNotice{number, n, since})
}

// closed notes that a notice has disappeared.
func (s *shown) closed(number uint32, at dbus.Sequence) {
	if i := s.index(number); i >= 0 && s.notices[i].since < at {
		s.forget(number)
	}
}

// click returns what to open after a click on a notice. Each notice opens it once.
func (s *shown) click(number uint32) (watcher.ID, bool) {
	i := s.index(number)
	if i < 0 || !s.notices[i].open {
		return watcher.ID{}, false
	}
	s.notices[i].open = false
	return s.notices[i].id, true
}

func (s *shown) forget(number uint32) {
	s.notices = slices.DeleteFunc(s.notices, func(n shownNotice) bool { return n.number == number })
}

func (s *shown) index(number uint32) int {
	return slices.IndexFunc(s.notices, func(n shownNotice) bool { return n.number == number })
}

// noticeImage returns the icon as the notification specification wants it: width, height, row stride, alpha, bits per sample,
// channels, pixels.
func noticeImage() any {
	icon, err := png.Decode(bytes.NewReader(assets.TrayIcon(0, false)))
	if err != nil {
		panic(err) // embedded, and decoded by a test
	}
	pixels := image.NewNRGBA(icon.Bounds())
	draw.Draw(pixels, pixels.Bounds(), icon, icon.Bounds().Min, draw.Src)
	return struct {
		Width, Height, Stride int32
		Alpha                 bool
		Bits, Channels        int32
		Pixels                []byte
	}{int32(pixels.Rect.Dx()), int32(pixels.Rect.Dy()), int32(pixels.Stride), true, 8, 4, pixels.Pix}
}
