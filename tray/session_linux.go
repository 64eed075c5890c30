package tray

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"porttray/watcher"
)

const (
	busName          = "org.freedesktop.DBus" // what the bus itself sends; nobody else can
	nameOwnerChanged = busName + ".NameOwnerChanged"
	watcherName      = "org.kde.StatusNotifierWatcher"
	watcherPath      = "/StatusNotifierWatcher"
	callLimit        = 5 * time.Second
)

// A session is this program's own connection to the desktop session. On Linux that is one private connection to the session bus, which
// serves the icon and the menu, and sends notifications.
type session struct {
	conn    *dbus.Conn
	hosts   chan struct{}   // a tray host may have come or gone
	arrived atomic.Bool     // one has come since, for certain
	served  chan struct{}   // closed when there is an icon to register
	settle  func()          // called before it is registered; set before served is closed
	heard   chan func()     // takes in what is about notices, in the goroutine that sends them
	clicked chan watcher.ID // whose server a clicked notice offered to open
	shown   shown           // belongs to the goroutine that sends
	service atomic.Value    // of string: shown.by, for the goroutine that receives
	plain   beeepSender
}

// openSession connects to the desktop session, within callLimit. The error says in a few words why there is none; no bus is ever
// started for it. A program without a display, such as a unit of systemd, belongs to a session if that shows tray icons.
func openSession(ctx context.Context) (*session, error) {
	if display(os.Getenv) == "" {
		if !awaitIcons(ctx, os.Getenv("INVOCATION_ID") != "") {
			return nil, errNoDisplay
		}
		adoptWayland()
	}
	s := &session{hosts: make(chan struct{}, 1), served: make(chan struct{}), heard: make(chan func(), maxShown),
		clicked: make(chan watcher.ID, 1), plain: newBeeepSender()}
	if err := s.connect(ctx, greet); err != nil {
		return nil, err
	}
	return s, nil
}

var (
	errNoDisplay = errors.New("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")
	errNoBus     = errors.New("there is no session bus (DBUS_SESSION_BUS_ADDRESS does not lead to one)")
)

// display returns what shows windows, as the environment tells: "Wayland", "X11", or nothing.
func display(getenv func(string) string) string {
	switch {
	case getenv("WAYLAND_DISPLAY") != "":
		return "Wayland"
	case getenv("DISPLAY") != "":
		return "X11"
	}
	return ""
}

// unitPatience is how long a systemd unit waits for a panel, which may be started after it.
const unitPatience = 30 * time.Second

// awaitIcons reports whether something shows tray icons. A unit waits for that; a person at a console wants the terminal at once.
func awaitIcons(ctx context.Context, unit bool) bool {
	for begin := time.Now(); ; {
		if iconsShown(ctx) {
			return true
		}
		if !unit || time.Since(begin) >= unitPatience {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
	}
}

// iconsShown reports whether there is a session bus, and something on it shows tray icons.
func iconsShown(ctx context.Context) bool {
	var s session
	if s.connect(ctx, hello) != nil {
		return false
	}
	defer s.close()
	return s.hasHost(ctx)
}

// connect connects to the session bus, if there is one, and has greet make the connection usable, all within callLimit.
func (s *session) connect(ctx context.Context, greet func(*dbus.Conn) error) error {
	conn, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithSignalHandler(s), dbus.WithIncomingInterceptor(ownAnswers))
	if err != nil {
		return errNoBus
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
		return fmt.Errorf("the session bus does not answer: %w", err)
	}
	s.conn = conn
	return nil
}

// hello makes a connection usable for calls.
func hello(conn *dbus.Conn) error {
	if err := conn.Auth(nil); err != nil {
		return err
	}
	return conn.Hello()
}

// greet makes a connection usable for the tray.
func greet(conn *dbus.Conn) error {
	if err := hello(conn); err != nil {
		return err
	}
	return matchNotices(conn)
}

// show shows the tray until ctx is done. ready builds the menu under a root; panels are answered when it has returned. drawn is closed
// when nobody draws any more; the end waits for that as long as exitLimit. show blocks.
func (s *session) show(ctx context.Context, v menu, ready func(root node, f face), signs chan<- sign, drawn <-chan struct{}) {
	t, err := newBusTray(s.conn, signs)
	if err != nil {
		slog.Error("the tray cannot be shown", "err", err) // the session is ending
	}
	t.SetIcon(v.count, v.attention)
	t.SetTooltip(v.tooltip)
	ready(t.root, t)
	t.show()
	s.settle = t.settle
	close(s.served)
	<-ctx.Done()
	atMost(exitLimit, func() { <-drawn })
}

// DeliverSignal sorts what the connection receives. Any program can send it signals, so what is too much is dropped: godbus' own
// handler would keep a goroutine for each.
func (s *session) DeliverSignal(_, _ string, sig *dbus.Signal) {
	about, _, now := ownerChange(sig)
	switch sig.Name {
	case watcherName + ".StatusNotifierHostRegistered", watcherName + ".StatusNotifierHostUnregistered":
		s.hostChanged()
	case nameOwnerChanged:
		switch about {
		case watcherName:
			// However much others send besides, it is not lost that one has come.
			if now != "" {
				s.arrived.Store(true)
			}
			s.hostChanged()
		case notifierName:
			s.take(sig)
		}
	case actionInvoked, noticeClosed:
		if sig.Sender == s.service.Load() { // else it would take the place of what is
			s.take(sig)
		}
	}
}

func (s *session) hostChanged() {
	select {
	case s.hosts <- struct{}{}:
	default:
	}
}

// take has a signal about notices heard.
func (s *session) take(sig *dbus.Signal) {
	select {
	case s.heard <- func() { s.hear(sig) }:
	default:
	}
}

// ownerChange returns what a NameOwnerChanged of the bus says: the unique names of those who had the name before and have it
// now, empty if nobody. Of any other signal it returns nothing.
func ownerChange(sig *dbus.Signal) (name, before, now string) {
	if sig.Sender != busName || sig.Name != nameOwnerChanged || len(sig.Body) != 3 {
		return "", "", ""
	}
	name, _ = sig.Body[0].(string)
	before, _ = sig.Body[1].(string)
	now, _ = sig.Body[2].(string)
	return name, before, now
}

func (s *session) close() { s.conn.Close() }

// watch reports whether there is a tray host, at once and whenever that changes, and registers the tray's icon with each new
// one. It returns when ctx is done or the session has ended.
func (s *session) watch(ctx context.Context, hosts chan<- bool) {
	err := errors.Join(
		s.conn.AddMatchSignal(dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, watcherName)),
		s.conn.AddMatchSignal(dbus.WithMatchInterface(watcherName)),
	)
	s.register(ctx)
	told, has := false, false
	for ; err == nil; err = ctx.Err() {
		if now := s.hasHost(ctx); now != has || !told {
			told, has = true, now
			select {
			case hosts <- has:
			case <-ctx.Done():
				return
			}
		}
		if !s.nextHost(ctx) {
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
func (s *session) nextHost(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-s.conn.Context().Done():
		return false
	case <-s.hosts:
		if s.arrived.Swap(false) {
			s.register(ctx)
		}
		return true
	}
}

// register shows the icon to a new tray host, once there is one to show.
func (s *session) register(ctx context.Context) {
	select {
	case <-s.served:
	case <-ctx.Done():
		return
	}
	s.settle()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	// A host that does not take the icon now announces itself again when it can.
	_ = s.conn.Object(watcherName, watcherPath).CallWithContext(ctx, watcherName+".RegisterStatusNotifierItem", 0, itemPath).Err
}

// hasHost reports whether something shows tray icons. A watcher that does not say whether it has a host counts as one.
func (s *session) hasHost(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	h, err := s.host(ctx)
	return err == nil && h.by != "" && (h.registered || h.untold != nil)
}

// A trayHost is what is known of what shows tray icons.
type trayHost struct {
	by         string // the unique bus name of the watcher, which has the list of them; empty if there is none
	registered bool   // something shows them
	untold     error  // why the watcher does not say whether something does; nil if it says so
}

// host asks what shows tray icons. Nothing is started for it. The error says that the bus does not answer.
func (s *session) host(ctx context.Context) (trayHost, error) {
	by, err := s.ownerOf(ctx, watcherName)
	if err != nil || by == "" {
		return trayHost{}, err
	}
	h := trayHost{by: by}
	var has dbus.Variant
	h.untold = s.conn.Object(by, watcherPath).CallWithContext(ctx, propertiesName+".Get", dbus.FlagNoAutoStart,
		watcherName, "IsStatusNotifierHostRegistered").Store(&has)
	isBool := false
	if h.registered, isBool = has.Value().(bool); h.untold == nil && !isBool {
		h.untold = errors.New("the answer is neither yes nor no")
	}
	return h, nil
}

// ownerOf returns the unique bus name of who has a name now, or nothing if nobody does. What is called by its unique name is
// never started for the call.
func (s *session) ownerOf(ctx context.Context, name string) (string, error) {
	var by string
	err := s.conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, name).Store(&by)
	if refusal, ok := errors.AsType[dbus.Error](err); ok && refusal.Name == busName+".Error.NameHasNoOwner" {
		return "", nil
	}
	return by, err
}
