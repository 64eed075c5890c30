//go:build linux && desktop

package tray_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"io"
	"net"
	"path/filepath"
	"time"
)

// A pointer is a mouse of a Wayland session. A protocol of the compositor moves it and clicks.
type pointer struct {
	d      *testDesktop
	conn   net.Conn
	newest uint32 // the highest object ID in use
	move   func(to image.Point)
	button func(state uint32)
}

// The fixed objects of each connection, and the opcodes of their requests.
const (
	waylandDisplay, waylandRegistry                      = 1, 2
	displaySync, displayGetRegistry, registryBind        = 0, 1, 0
	leftButton                                    uint32 = 0x110 // BTN_LEFT in linux/input-event-codes.h
)

// virtualPointer returns a pointer for compositors with wlr-virtual-pointer-unstable-v1, such as sway.
func (d *testDesktop) virtualPointer() *pointer {
	d.t.Helper()
	p := d.newPointer()
	const create, move, button, frame = 0, 1, 2, 4
	manager, mouse := p.bind("zwlr_virtual_pointer_manager_v1", 1), p.object()
	p.request(manager, create, words(0, mouse)) // 0: any seat
	now := func() uint32 { return uint32(time.Now().UnixMilli()) }
	p.move = func(to image.Point) {
		p.request(mouse, move, words(now(), uint32(to.X), uint32(to.Y), screenWidth, screenHeight))
		p.request(mouse, frame)
	}
	p.button = func(state uint32) {
		p.request(mouse, button, words(now(), leftButton, state))
		p.request(mouse, frame)
	}
	return p
}

// fakeInput returns a pointer for KWin, by org_kde_kwin_fake_input.
func (d *testDesktop) fakeInput() *pointer {
	d.t.Helper()
	p := d.newPointer()
	const authenticate, button, move = 0, 2, 9
	fake := p.bind("org_kde_kwin_fake_input", 3)
	p.request(fake, authenticate, text("porttray"), text("a test"))
	const fixed = 256 // numbers have 8 fractional bits
	p.move = func(to image.Point) { p.request(fake, move, words(uint32(to.X*fixed), uint32(to.Y*fixed))) }
	p.button = func(state uint32) { p.request(fake, button, words(leftButton, state)) }
	return p
}

// newPointer connects to the Wayland display of the session.
func (d *testDesktop) newPointer() *pointer {
	d.t.Helper()
	conn, err := net.Dial("unix", filepath.Join(d.vars["XDG_RUNTIME_DIR"], d.vars["WAYLAND_DISPLAY"]))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	p := &pointer{d: d, conn: conn, newest: waylandRegistry}
	p.request(waylandDisplay, displayGetRegistry, words(waylandRegistry))
	return p
}

// point moves the pointer, and returns once it has moved.
func (p *pointer) point(to image.Point) {
	p.d.t.Helper()
	p.move(to)
	p.sync()
}

// press presses and releases the left button.
func (p *pointer) press() {
	p.d.t.Helper()
	p.button(1)
	p.button(0)
	p.sync()
}

// object returns the ID for a new object.
func (p *pointer) object() uint32 {
	p.newest++
	return p.newest
}

// bind returns the object for an interface. The caller must not have read events before.
func (p *pointer) bind(name string, version uint32) uint32 {
	p.d.t.Helper()
	for _, e := range p.sync() {
		// The registry sends the name, the interface with its length, and the version of each object.
		if e.object == waylandRegistry && bytes.Contains(e.body, []byte(name+"\x00")) {
			object := p.object()
			p.request(waylandRegistry, registryBind, e.body[:4], text(name), words(version, object))
			return object
		}
	}
	p.d.t.Fatalf("the compositor does not offer %s", name)
	return 0
}

// words returns integer arguments of a request.
func words(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

// text returns a string argument of a request.
func text(s string) []byte {
	b := append(words(uint32(len(s)+1)), s...)
	return append(b, make([]byte, 4-len(s)%4)...) // a zero byte, then padding to four bytes
}

func (p *pointer) request(object, opcode uint32, args ...[]byte) {
	p.d.t.Helper()
	body := bytes.Join(args, nil)
	if _, err := p.conn.Write(append(words(object, uint32(8+len(body))<<16|opcode), body...)); err != nil {
		p.d.t.Fatalf("write to the Wayland display: %v", err)
	}
}

// A pointerEvent is an event of the compositor about an object.
type pointerEvent struct {
	object uint32
	body   []byte
}

// sync waits until the compositor has handled all requests, and returns the events up to then.
func (p *pointer) sync() (events []pointerEvent) {
	p.d.t.Helper()
	done := p.object()
	p.request(waylandDisplay, displaySync, words(done))
	p.conn.SetReadDeadline(time.Now().Add(patience)) // no error: the connection is open
	for {
		var head [8]byte
		_, err := io.ReadFull(p.conn, head[:])
		e := pointerEvent{object: binary.NativeEndian.Uint32(head[:])}
		if err == nil {
			e.body = make([]byte, max(8, binary.NativeEndian.Uint32(head[4:])>>16)-8)
			_, err = io.ReadFull(p.conn, e.body)
		}
		if err != nil {
			p.d.t.Fatalf("read from the Wayland display: %v", err)
		}
		if e.object == waylandDisplay && len(e.body) > 4 {
			p.d.t.Fatalf("the compositor refuses: %q", e.body)
		}
		if e.object == done {
			return events
		}
		events = append(events, e)
	}
}
