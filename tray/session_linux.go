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

	"porttray/watcher/server"
)

const (
	busName          = "org.freedesktop.DBus" // the sender of the bus itself; nobody else can use it
	nameOwnerChanged = busName + ".NameOwnerChanged"
	watcherName      = "org.kde.StatusNotifierWatcher"
	watcherPath      = "/StatusNotifierWatcher"
	callLimit        = 5 * time.Second
)

// A session is this program's connection to the desktop session. On Linux it is a private connection to the session
// bus. It serves the icon and the menu, and sends notifications.
type session struct {
	conn           *dbus.Conn
	hosts          chan struct{}  // a tray host may have come or gone
	arrived        atomic.Bool    // a new one has certainly come
	served         chan struct{}  // closed when there is an icon to register
	beforeRegister func()         // called before each registration; set before served is closed
	heard          chan func()    // handlers of signals about notices, for the goroutine that sends
	clicked        chan server.ID // the servers of clicked notices
	shown          shown          // belongs to the goroutine that sends
	service        atomic.Value   // of string: shown.by, for the goroutine that receives
	plain          beeepSender
}

// openSession connects to the desktop session, within callLimit. The error says in a few words why there is none. It
// never starts a bus. A program without a display, such as a systemd unit, belongs to a session if something shows tray
// icons.
func openSession(ctx context.Context) (*session, error) {
	if display(os.Getenv) == "" {
		if !awaitIcons(ctx, os.Getenv("INVOCATION_ID") != "") {
			return nil, errNoDisplay
		}
		adoptWayland()
	}
	s := &session{hosts: make(chan struct{}, 1), served: make(chan struct{}), heard: make(chan func(), maxShown),
		clicked: make(chan server.ID, 1), plain: newBeeepSender()}
	if err := s.connect(ctx, greet); err != nil {
		return nil, err
	}
	return s, nil
}

var (
	errNoDisplay = errors.New("there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)")
	errNoBus     = errors.New("there is no session bus (DBUS_SESSION_BUS_ADDRESS does not lead to one)")
)

// display returns the display in the environment: "Wayland", "X11", or nothing.
func display(getenv func(string) string) string {
	switch {
	case getenv("WAYLAND_DISPLAY") != "":
		return "Wayland"
	case getenv("DISPLAY") != "":
		return "X11"
	}
	return ""
}

// unitPatience is how long a systemd unit waits for a panel. The panel may start later.
const unitPatience = 30 * time.Second

// awaitIcons reports whether something shows tray icons. A unit waits for that. A person at a console wants the
// terminal at once.
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

// connect connects to the session bus, if there is one, and calls greet on the connection, all within callLimit.
func (s *session) connect(ctx context.Context, greet func(*dbus.Conn) error) error {
	handler, interceptor := dbus.WithSignalHandler(s), dbus.WithIncomingInterceptor(ownAnswers)
	conn, err := dbus.SessionBusPrivateNoAutoStartup(handler, interceptor)
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

func hello(conn *dbus.Conn) error {
	if err := conn.Auth(nil); err != nil {
		return err
	}
	return conn.Hello()
}

func greet(conn *dbus.Conn) error {
	if err := hello(conn); err != nil {
		return err
	}
	return matchNotices(conn)
}

// show shows the tray until ctx is done. ready builds the menu under a root; panels get answers after it returns. drawn
// is closed at the end of all drawing, and show waits for that for at most exitLimit. show blocks.
func (s *session) show(
	ctx context.Context, v menu, ready func(root node, f face), signs chan<- sign, drawn <-chan struct{},
) {
	t, err := newBusTray(s.conn, signs)
	if err != nil {
		slog.Error("the tray cannot be shown", "err", err) // the session is ending
	}
	t.SetIcon(v.count, v.attention)
	t.SetTooltip(v.tooltip)
	ready(t.root, t)
	t.show()
	s.beforeRegister = t.renewReaders
	close(s.served)
	<-ctx.Done()
	atMost(exitLimit, func() { <-drawn })
}

// DeliverSignal dispatches received signals. Any program can send signals, so it drops those that do not fit its
// queues. Godbus' own handler would keep a goroutine for each.
func (s *session) DeliverSignal(_, _ string, sig *dbus.Signal) {
	about, _, now := ownerChange(sig)
	switch sig.Name {
	case watcherName + ".StatusNotifierHostRegistered", watcherName + ".StatusNotifierHostUnregistered":
		s.hostChanged()
	case nameOwnerChanged:
		switch about {
		case watcherName:
			// A flood of other signals must not hide an arrival.
			if now != "" {
				s.arrived.Store(true)
			}
			s.hostChanged()
		case notifierName:
			s.take(sig)
		}
	case actionInvoked, noticeClosed:
		if sig.Sender == s.service.Load() { // other senders must not fill the queue
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

// take queues a signal about notices for hear.
func (s *session) take(sig *dbus.Signal) {
	select {
	case s.heard <- func() { s.hear(sig) }:
	default:
	}
}

// ownerChange returns the values of the bus's NameOwnerChanged: a name, and the unique names of its earlier and present
// owner. An owner is empty if there is none. For other signals it returns nothing.
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

// watch sends whether there is a tray host, at once and after each change. It registers the icon with each new host. It
// returns when ctx is done or the session has ended.
func (s *session) watch(ctx context.Context, hosts chan<- bool) {
	changed, of := dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, watcherName)
	err := errors.Join(
		s.conn.AddMatchSignal(dbus.WithMatchInterface(busName), changed, of),
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
		slog.Error("the session bus does not report tray hosts", "err", err)
	}
}

// nextHost waits until a tray host may have come or gone. It returns false if ctx is done or the session has ended.
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

// register registers the icon with a new tray host, as soon as there is an icon.
func (s *session) register(ctx context.Context) {
	select {
	case <-s.served:
	case <-ctx.Done():
		return
	}
	s.beforeRegister()
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	// A host that cannot take the icon now announces itself again later.
	host := s.conn.Object(watcherName, watcherPath)
	_ = host.CallWithContext(ctx, watcherName+".RegisterStatusNotifierItem", 0, itemPath).Err
}

// hasHost reports whether something shows tray icons. It counts a watcher without a clear answer as one with a host.
func (s *session) hasHost(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	h, err := s.host(ctx)
	return err == nil && h.by != "" && (h.registered || h.registeredErr != nil)
}

// A trayHost describes the program that shows tray icons.
type trayHost struct {
	by            string // the unique bus name of the watcher, the owner of the list of icons; empty if there is none
	registered    bool   // something shows the icons
	registeredErr error  // why the value of registered is unknown; nil if it is known
}

// host asks the watcher about the tray host, without starting any program. An error means that the bus does not answer.
func (s *session) host(ctx context.Context) (trayHost, error) {
	by, err := s.ownerOf(ctx, watcherName)
	if err != nil || by == "" {
		return trayHost{}, err
	}
	h := trayHost{by: by}
	var has dbus.Variant
	h.registeredErr = s.conn.Object(by, watcherPath).CallWithContext(ctx, propertiesName+".Get", dbus.FlagNoAutoStart,
		watcherName, "IsStatusNotifierHostRegistered").Store(&has)
	isBool := false
	if h.registered, isBool = has.Value().(bool); h.registeredErr == nil && !isBool {
		h.registeredErr = errors.New("the answer is not a boolean")
	}
	return h, nil
}

// ownerOf returns the unique bus name of the present owner of a name; empty if there is none. A call to a unique name
// never starts a program.
func (s *session) ownerOf(ctx context.Context, name string) (string, error) {
	var by string
	err := s.conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, name).Store(&by)
	if refusal, ok := errors.AsType[dbus.Error](err); ok && refusal.Name == busName+".Error.NameHasNoOwner" {
		return "", nil
	}
	return by, err
}
