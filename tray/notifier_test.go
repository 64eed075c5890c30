//go:build linux

package tray_test

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	notifierName = "org.freedesktop.Notifications"
	notifierPath = "/org/freedesktop/Notifications"
)

// A notifier is a notification service, see https://specifications.freedesktop.org/notification-spec/.
type notifier struct {
	d    *testDesktop
	conn *dbus.Conn
	mode notifierMode
	caps []string

	mu    sync.Mutex // guards the fields below
	notes []note
	ended int // number of notes that the service has closed by itself
}

type notifierMode int

const (
	notifierShows notifierMode = iota // as a service should
	notifierKeeps                     // like notifierShows, but notes stay until the test closes them
	notifierHangs                     // never answers Notify
	notifierFails                     // answers Notify with an error
)

// A note is one call of Notify by the program.
type note struct {
	id       uint32
	replaces uint32 // the id of the note that it replaces, or 0
	sender   string
	app      string
	summary  string
	body     string
	actions  []string // keys and labels alternate
	hints    map[string]any
	timeout  int32 // in milliseconds; -1: the service's choice, 0: never
}

func (n note) String() string { return fmt.Sprintf("%q: %q", n.summary, n.body) }

// startNotifier starts the service. Only one can run at a time. Its capabilities are caps, by default body, body-markup
// and actions. Like dunst it sends NotificationClosed shortly after each note, and only to the program that called
// Notify.
func (d *testDesktop) startNotifier(mode notifierMode, caps ...string) *notifier {
	d.t.Helper()
	if caps == nil {
		caps = []string{"body", "body-markup", "actions"}
	}
	n := &notifier{d: d, mode: mode, caps: caps}
	n.conn = d.connect(func(*dbus.Signal) {})
	err := n.conn.ExportMethodTable(map[string]any{
		"Notify":            n.notify,
		"CloseNotification": n.closeNote,
		"GetCapabilities":   func() ([]string, *dbus.Error) { return n.caps, nil },
		"GetServerInformation": func() (name, vendor, version, spec string, err *dbus.Error) {
			return "desktop_test", "porttray", "1", "1.2", nil
		},
	}, notifierPath, notifierName)
	if err != nil {
		d.t.Fatal(err)
	}
	d.own(n.conn, notifierName)
	return n
}

// stop ends the service; its name is free when stop returns.
func (n *notifier) stop() { leave(n.conn, notifierName) }

func (n *notifier) notify(app string, replaces uint32, _, summary, body string, actions []string,
	hints map[string]dbus.Variant, timeout int32, sender dbus.Sender) (uint32, *dbus.Error) {
	got := note{replaces: replaces, sender: string(sender), app: app, summary: summary, body: body, actions: actions,
		hints: map[string]any{}, timeout: timeout}
	for key, v := range hints {
		got.hints[key] = v.Value()
	}
	n.mu.Lock()
	got.id = cmp.Or(replaces, uint32(len(n.notes)+1))
	n.notes = append(n.notes, got)
	n.mu.Unlock()
	switch n.mode {
	case notifierHangs:
		<-n.conn.Context().Done()
	case notifierFails:
		return 0, dbus.NewError(notifierName+".Error.Failed", []any{"not today"})
	case notifierKeeps:
	default:
		// After the reply. If the service has stopped by then, nobody sends the signal.
		time.AfterFunc(20*time.Millisecond, func() {
			sendSignal(n.conn, got.sender, "NotificationClosed", got.id, uint32(1))
			n.mu.Lock()
			defer n.mu.Unlock()
			n.ended++
		})
	}
	return got.id, nil
}

// closeNote implements CloseNotification.
func (n *notifier) closeNote(id uint32) *dbus.Error {
	for _, got := range slices.Backward(n.all()) {
		if got.id == id {
			sendSignal(n.conn, got.sender, "NotificationClosed", id, uint32(3))
			return nil
		}
	}
	return dbus.NewError(notifierName+".Error.NoSuchNote", nil)
}

// click sends the signal of a click on a note or on one of its buttons.
func (n *notifier) click(about note, action string) {
	sendSignal(n.conn, about.sender, "ActionInvoked", about.id, action)
}

// sendSignal sends a signal of the notification service from any connection. If to is empty, it is a broadcast.
func sendSignal(from *dbus.Conn, to, member string, body ...any) {
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(notifierPath)),
		dbus.FieldInterface: dbus.MakeVariant(notifierName),
		dbus.FieldMember:    dbus.MakeVariant(member),
	}
	if to != "" {
		headers[dbus.FieldDestination] = dbus.MakeVariant(to)
	}
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	from.Send(&dbus.Message{Type: dbus.TypeSignal, Headers: headers, Body: body}, nil)
}

// all returns all notes so far, oldest first, including unanswered and refused ones.
func (n *notifier) all() []note {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.notes)
}

// closed returns how many notes the service has closed by itself.
func (n *notifier) closed() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ended
}

// waitFor waits until ok accepts a note, and returns the first such note.
func (n *notifier) waitFor(timeout time.Duration, ok func(note) bool) note {
	n.d.t.Helper()
	var found note
	if !poll(timeout, func() bool {
		i := slices.IndexFunc(n.all(), ok)
		if i >= 0 {
			found = n.all()[i]
		}
		return i >= 0
	}) {
		n.d.t.Fatalf("no such notification within %v, but these: %v", timeout, n.all())
	}
	return found
}
