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
	"porttray/watcher/server"
)

// These are names of the notification service, see https://specifications.freedesktop.org/notification-spec/.
const (
	notifierName  = "org.freedesktop.Notifications"
	notifierPath  = "/org/freedesktop/Notifications"
	actionInvoked = notifierName + ".ActionInvoked"
	noticeClosed  = notifierName + ".NotificationClosed"
)

// matchNotices asks the bus for the service's signals about notices, and for changes of the service.
func matchNotices(conn *dbus.Conn) error {
	sender, by := dbus.WithMatchSender(notifierName), dbus.WithMatchInterface(notifierName)
	changed, of := dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, notifierName)
	return errors.Join(
		conn.AddMatchSignal(sender, by, dbus.WithMatchMember("ActionInvoked")),
		conn.AddMatchSignal(sender, by, dbus.WithMatchMember("NotificationClosed")),
		conn.AddMatchSignal(dbus.WithMatchInterface(busName), changed, of),
	)
}

// send shows a notice, without sound. If the session has no notification service, beeep shows it another way.
func (s *session) send(ctx context.Context, n notice) error {
	// Call the service by its unique name: the numbers of notices mean nothing to another service.
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
		call := s.conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, notifierName)
		if err := call.Store(&by); err != nil {
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

// abilities are the relevant abilities of a service.
type abilities struct{ markup, actions bool }

func abilitiesOf(capabilities []string) abilities {
	return abilities{slices.Contains(capabilities, "body-markup"), slices.Contains(capabilities, "actions")}
}

// request returns the arguments of Notify for a service with these abilities.
func request(n notice, replaces uint32, can abilities) []any {
	body := n.body
	if can.markup {
		body = html.EscapeString(body)
	}
	actions := []string{}
	if n.open && can.actions {
		// A click on the notice, and a button. xfce4-notifyd shows the first as a button, too, if it has a label.
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

// hear receives a signal about a notice. It accepts only signals of the service that showed the notice, because any
// program can send such signals.
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
			default: // an earlier click is still waiting
			}
		}
	}
}

const maxShown = 64

// shown records the notices of one service: which one to replace, and what a click opens.
type shown struct {
	by      string        // the unique bus name of the service
	can     abilities     // of the service
	notices []shownNotice // oldest first
}

type shownNotice struct {
	number uint32 // the service's id for it
	notice
	since dbus.Sequence // earlier signals are about an earlier notice of the same number
}

// begin records the present service. It forgets the notices of another one.
func (s *shown) begin(service string, can abilities) {
	if s.by != service {
		*s = shown{by: service}
	}
	s.can = can
}

func (s *shown) end(service string) {
	if s.by == service {
		*s = shown{}
	}
}

// latest returns the number of the notice to replace for a key, or 0.
func (s *shown) latest(key string) uint32 {
	for _, n := range slices.Backward(s.notices) {
		if key != "" && n.key == key {
			return n.number
		}
	}
	return 0
}

// add records a new notice, and forgets the replaced one. since is the sequence number of the service's answer.
func (s *shown) add(number uint32, n notice, since dbus.Sequence) {
	s.forget(number)
	if len(s.notices) == maxShown {
		s.notices = slices.Delete(s.notices, 0, 1)
	}
	s.notices = append(s.notices, shownNotice{number, n, since})
}

func (s *shown) closed(number uint32, at dbus.Sequence) {
	if i := s.index(number); i >= 0 && s.notices[i].since < at {
		s.forget(number)
	}
}

// click returns the listener to open after a click on a notice. Each notice opens it once.
func (s *shown) click(number uint32) (server.ID, bool) {
	i := s.index(number)
	if i < 0 || !s.notices[i].open {
		return server.ID{}, false
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

// noticeImage returns the icon in the format of the notification specification: width, height, row stride, alpha, bits
// per sample, channels, pixels.
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
