//go:build linux

package tray_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// These tests claim the name of the tray host. Such a program can read the menu and click its entries, like a person.
// No test can forbid that: a panel does nothing else, and a program of the same user could end the same processes
// anyway. It must not get more. It cannot stop the tray or keep it from the next host, and its clicks reach only
// entries of the menu.

// claim makes a connection the tray host, with this property and these methods.
func (d *testDesktop) claim(registered any, methods map[string]any) *dbus.Conn {
	d.t.Helper()
	conn := d.connect(func(*dbus.Signal) {})
	_, err := prop.Export(conn, hostPath, prop.Map{hostName: {"IsStatusNotifierHostRegistered": {Value: registered}}})
	if err == nil {
		err = conn.ExportMethodTable(methods, hostPath, hostName)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.own(conn, hostName)
	return conn
}

// Only the program itself can change its icon, title, tooltip and the path of its menu.
func TestNobodySetsTheItem(t *testing.T) {
	parallel(t)
	s := newDesktop(t).startTray()
	s.item.settle()
	set := func(path dbus.ObjectPath, of, name string, value any) {
		t.Helper()
		const properties = "org.freedesktop.DBus.Properties."
		var before, after dbus.Variant
		s.item.call([]any{&before}, path, properties+"Get", of, name)
		if dbus.SignatureOf(value) != before.Signature() {
			t.Fatalf("%s is a %v, not a %v", name, before.Signature(), dbus.SignatureOf(value))
		}
		if _, err := call(s.item.h.conn.Object(s.item.sender, path), properties+"Set", of, name,
			dbus.MakeVariant(value)); err == nil {
			t.Errorf("%s can be set", name)
		}
		if s.item.call([]any{&after}, path, properties+"Get", of, name); after.String() != before.String() {
			t.Errorf("%s is %v now", name, after)
		}
	}
	set(s.item.path, itemName, "Title", "x")
	set(s.item.path, itemName, "Menu", dbus.ObjectPath("/x"))
	set(s.item.path, itemName, "IconPixmap", []pixmap{})
	set(s.item.path, itemName, "ToolTip", struct {
		Name        string
		Icons       []pixmap
		Title, Text string
	}{Title: "x"})
	set(s.item.menuPath(), menuName, "Version", uint32(1<<31))
}

func TestHostThatLies(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	v := d.startVictim(victimOptions{}, "127.0.0.1:0")
	long := strings.Repeat("x", 1<<20)
	hang := make(chan struct{})
	defer close(hang)
	never := map[string]any{"RegisterStatusNotifierItem": func(string) *dbus.Error { <-hang; return nil }}
	s := d.startTray()
	s.row(v, v.ports[0])
	sender := s.item.sender
	before := s.tray.load(t)
	for name, claim := range map[string]func() *dbus.Conn{
		"a word instead of yes":   func() *dbus.Conn { return d.claim(long, nil) },
		"a number instead of yes": func() *dbus.Conn { return d.claim(int32(7), nil) },
		"a nest of variants": func() *dbus.Conn {
			return d.claim([]dbus.Variant{dbus.MakeVariant(dbus.MakeVariant(true))}, nil)
		},
		"no":                       func() *dbus.Conn { return d.claim(false, never) },
		"yes, and never registers": func() *dbus.Conn { return d.claim(true, never) },
		"an error with a long text": func() *dbus.Conn {
			return d.claim(true, map[string]any{"RegisterStatusNotifierItem": func(string) *dbus.Error {
				return dbus.NewError("a.b", []any{long})
			}})
		},
		"an answer of another shape": func() *dbus.Conn {
			answer := func(string) (string, uint32, *dbus.Error) { return long, 7, nil }
			return d.claim(true, map[string]any{"RegisterStatusNotifierItem": answer})
		},
	} {
		s.host.stop()
		liar := claim()
		for _, body := range [][]any{nil, {long}, {long, long, long, long}, {hostName, "", ":1.99"},
			{uint32(1), []string{long}, false}, {dbus.MakeVariant(nestedVariant(40))}} {
			for _, signal := range []string{hostName + ".StatusNotifierHostRegistered",
				hostName + ".StatusNotifierHostUnregistered", hostName + ".Nonsense",
				"org.freedesktop.DBus.NameOwnerChanged", "org.freedesktop.DBus.NameLost",
				"org.freedesktop.DBus.Properties.PropertiesChanged"} {
				liar.Emit(hostPath, signal, body...)
				direct(liar, sender, signal, body...)
			}
		}
		// The bus has passed on all of it.
		if _, err := call(liar.BusObject(), "org.freedesktop.DBus.GetId"); err != nil {
			t.Fatal(err)
		}
		leave(liar, hostName)
		s.host = d.startHost()
		s.item = s.host.item(patience)
		if items := s.host.shown(); len(items) != 1 || items[0].sender != sender {
			t.Fatalf("after %s there are %d icons in the tray, want the one of %s", name, len(items), sender)
		}
		s.row(v, v.ports[0])
	}
	after := s.tray.load(t)
	t.Logf("before %v, after %v", before, after)
	if after.files > before.files || after.tasks > before.tasks+10 || after.memory > before.memory+200e6 {
		t.Error("the lies have left too much")
	}
	if v.exited() {
		t.Errorf("%s was ended", v.who())
	}
	s.item.click(s.row(v, v.ports[0]).find("Stop " + v.who()))
	s.hear(fmt.Sprintf("Port %d is free", v.ports[0]), v.who()+" stopped")
}

// A host that never answers and stays on the bus after it gives up the name delays the next host by seconds only.
func TestHostThatHangs(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	s.host.stop()
	asked, hang := make(chan struct{}), make(chan struct{})
	defer close(hang)
	once := sync.OnceFunc(func() { close(asked) })
	never := func(string) *dbus.Error { once(); <-hang; return nil }
	liar := d.claim(true, map[string]any{"RegisterStatusNotifierItem": never})
	<-asked
	if _, err := call(liar.BusObject(), "org.freedesktop.DBus.ReleaseName", hostName); err != nil {
		t.Fatal(err)
	}
	s.host = d.startHost()
	s.item = s.host.item(patience)
	if items := s.host.shown(); len(items) != 1 {
		t.Errorf("there are %d icons in the tray", len(items))
	}
}

// nestedVariant nests a variant in variants, depth times.
func nestedVariant(depth int) any {
	var v any = "x"
	for range depth {
		v = dbus.MakeVariant(v)
	}
	return v
}

// direct sends a signal to one connection. The connection gets it without a match rule.
func direct(from *dbus.Conn, to, name string, body ...any) {
	i := strings.LastIndex(name, ".")
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath(hostPath)),
		dbus.FieldInterface:   dbus.MakeVariant(name[:i]),
		dbus.FieldMember:      dbus.MakeVariant(name[i+1:]),
		dbus.FieldDestination: dbus.MakeVariant(to),
	}
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	from.Send(&dbus.Message{Type: dbus.TypeSignal, Headers: headers, Body: body}, nil)
}

// A program that endlessly announces hosts cannot keep the tray from a host, or make it fill the log.
func TestForgedHostSignals(t *testing.T) {
	parallel(t)
	d := newDesktop(t)
	d.needNetwork()
	s := d.startTray()
	sender, stop := s.item.sender, make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	quiet := sync.OnceFunc(func() { close(stop) })
	defer quiet()
	before, forger := s.tray.load(t), d.connect(func(*dbus.Signal) {})
	wg.Go(func() {
		for {
			for range 200 {
				forger.Emit(hostPath, hostName+".StatusNotifierHostRegistered")
				// This ends systray's own watch for hosts.
				direct(forger, sender, "org.freedesktop.DBus.NameOwnerChanged", "x")
			}
			if _, err := call(forger.BusObject(), "org.freedesktop.DBus.GetId"); err != nil {
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 4 {
		s.host.crash()
		s.host = d.startHost()
		s.item = s.host.item(patience)
		if items := s.host.shown(); len(items) != 1 || items[0].sender != sender {
			t.Fatalf("there are %d icons in the tray, want the one of %s", len(items), sender)
		}
	}
	quiet()
	s.item.settle()
	after := s.tray.load(t)
	t.Logf("before %v, after %v", before, after)
	if after.memory > before.memory+30e6 {
		t.Error("the signals have left too much")
	}
	if n := strings.Count(s.tray.output(), "\n"); n > 100 {
		t.Errorf("%d lines were logged, which begin with\n%.1000s", n, s.tray.output())
	}
}
