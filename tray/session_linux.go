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
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"porttray/assets"
)

const (
	watcherName  = "org.kde.StatusNotifierWatcher"
	watcherPath  = "/StatusNotifierWatcher"
	itemPath     = "/StatusNotifierItem" // where systray puts its item
	notifierName = "org.freedesktop.Notifications"
	notifierPath = "/org/freedesktop/Notifications"
	callLimit    = 5 * time.Second
)

// A session is this program's own connection to the desktop session. On Linux that is a private connection to the session bus,
// beside the one that systray shares with every other user of godbus in the process: signals sent to notifications arrive at
// the connection that sent them, and on the shared one they end systray's watch for tray hosts
// (github.com/fyne-io/systray/issues/131) and pile up unread.
type session struct {
	conn  *dbus.Conn
	plain beeepSender
}

// openSession connects to the desktop session, within callLimit. The error says in a few words why there is none; no bus is ever
// started for it.
func openSession(ctx context.Context) (*session, error) {
	if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return nil, errors.New("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")
	}
	conn, err := dbus.SessionBusPrivateNoAutoStartup()
	if err != nil {
		return nil, errors.New("there is no session bus (DBUS_SESSION_BUS_ADDRESS does not lead to one)")
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- greet(conn) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("the session bus does not answer: %w", err)
	}
	return &session{conn: conn, plain: newBeeepSender()}, nil
}

// greet makes a connection usable, and the one that systray will use as well: systray neither reports that it cannot connect
// nor survives it.
func greet(conn *dbus.Conn) error {
	if err := conn.Auth(nil); err != nil {
		return err
	}
	if err := conn.Hello(); err != nil {
		return err
	}
	_, err := dbus.SessionBus()
	return err
}

func (s *session) close() { s.conn.Close() }

// watch reports whether there is a tray host, at once and whenever that changes, and registers the tray's icon with each new
// one. It returns when ctx is done or the session has ended.
func (s *session) watch(ctx context.Context, hosts chan<- bool) {
	signals := make(chan *dbus.Signal, 16)
	s.conn.Signal(signals)
	defer s.conn.RemoveSignal(signals)
	err := errors.Join(
		s.conn.AddMatchSignal(dbus.WithMatchInterface("org.freedesktop.DBus"), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, watcherName)),
		s.conn.AddMatchSignal(dbus.WithMatchInterface(watcherName)),
	)
	for ; err == nil; err = ctx.Err() {
		select {
		case hosts <- s.hasHost(ctx):
		case <-ctx.Done():
			return
		}
		if !s.nextHost(ctx, signals) {
			if ctx.Err() == nil {
				slog.Info("the desktop session has ended")
			}
			return
		}
	}
	if ctx.Err() == nil {
		slog.Error("the session bus does not tell of tray hosts", "err", err)
	}
}

// nextHost waits until a tray host may have come or gone; false means that ctx is done or the session has ended.
func (s *session) nextHost(ctx context.Context, signals <-chan *dbus.Signal) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-s.conn.Context().Done():
			return false
		case sig, ok := <-signals:
			if !ok {
				return false
			}
			switch sig.Name {
			case "org.freedesktop.DBus.NameOwnerChanged":
				if len(sig.Body) == 3 && sig.Body[2] != "" {
					s.register(ctx)
				}
				return true
			case watcherName + ".StatusNotifierHostRegistered", watcherName + ".StatusNotifierHostUnregistered":
				return true
			}
		}
	}
}

// register shows the icon to a new tray host. The call goes through systray's connection, so that to the host it is the item
// that systray may have registered as well.
func (s *session) register(ctx context.Context) {
	shared, err := dbus.SessionBus()
	if err != nil {
		return // the session is ending, which watch notices
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	// A host that does not take the item now announces itself again when it can.
	_ = shared.Object(watcherName, watcherPath).CallWithContext(ctx, watcherName+".RegisterStatusNotifierItem", 0, itemPath).Err
}

// hasHost reports whether something shows tray icons. A watcher that does not say whether it has a host counts as one.
func (s *session) hasHost(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var owned bool
	err := s.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, watcherName).Store(&owned)
	if err != nil || !owned {
		return false
	}
	var has dbus.Variant
	err = s.conn.Object(watcherName, watcherPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0,
		watcherName, "IsStatusNotifierHostRegistered").Store(&has)
	registered, isBool := has.Value().(bool)
	return err != nil || !isBool || registered
}

// send shows a notice, without sound. Where the session has no notification service, beeep is left to find another way.
func (s *session) send(ctx context.Context, n notice) error {
	service := s.conn.Object(notifierName, notifierPath)
	var capabilities []string
	if err := service.CallWithContext(ctx, notifierName+".GetCapabilities", 0).Store(&capabilities); err != nil {
		var refused dbus.Error
		if errors.As(err, &refused) {
			return s.plain.send(ctx, notice{title: n.title, body: html.EscapeString(n.body)})
		}
		return fmt.Errorf("ask the notification service: %w", err)
	}
	body := n.body
	if slices.Contains(capabilities, "body-markup") {
		body = html.EscapeString(body)
	}
	hints := map[string]dbus.Variant{
		"urgency":        dbus.MakeVariant(byte(1)),
		"suppress-sound": dbus.MakeVariant(true),
		"desktop-entry":  dbus.MakeVariant("porttray"),
		"image-data":     dbus.MakeVariant(noticeImage()),
	}
	call := service.CallWithContext(ctx, notifierName+".Notify", 0, "porttray", uint32(0), "", n.title, body, []string{}, hints, int32(-1))
	if call.Err != nil {
		return fmt.Errorf("send a notification: %w", call.Err)
	}
	return nil
}

// noticeImage returns the icon as the notification specification wants it: width, height, row stride, alpha, bits per sample,
// channels, pixels.
func noticeImage() any {
	icon, err := png.Decode(bytes.NewReader(assets.TrayIcon(0)))
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
