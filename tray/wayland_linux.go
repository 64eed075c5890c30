package tray

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// waylandLimit is how long a Wayland display may take to answer. One that works answers in a millisecond.
const waylandLimit = time.Second

// adoptWayland has this program, and the programs that it starts, use the Wayland display of a session that passed on
// no display at all, if there is exactly one: what opens the browser and what copies need it.
func adoptWayland() {
	if display(os.Getenv) == "" {
		if name := onlyWayland(os.Getenv("XDG_RUNTIME_DIR")); name != "" {
			os.Setenv("WAYLAND_DISPLAY", name) // fails for no such name and value
		}
	}
}

// onlyWayland returns the name of the one Wayland display in a runtime directory that takes connections. It returns
// nothing if there is none, or if there are several.
func onlyWayland(dir string) string {
	if !filepath.IsAbs(dir) {
		return ""
	}
	files, _ := os.ReadDir(dir) // what cannot be read has none
	only := ""
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), "wayland-") || f.Type() != os.ModeSocket {
			continue
		}
		conn, err := net.DialTimeout("unix", filepath.Join(dir, f.Name()), waylandLimit)
		if err != nil {
			continue // left behind by a session that has ended
		}
		conn.Close()
		if only != "" {
			return ""
		}
		only = f.Name()
	}
	return only
}

// waylandSocket returns the path of the socket of the display that the environment names.
func waylandSocket(getenv func(string) string) string {
	name := getenv("WAYLAND_DISPLAY")
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(getenv("XDG_RUNTIME_DIR"), name)
}

// waylandInterfaces returns the names of the interfaces that a Wayland display offers to every client, see
// https://wayland.freedesktop.org/docs/html/apa.html. They are untrusted text. Nothing is shown or changed for it.
func waylandInterfaces(ctx context.Context, socket string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, waylandLimit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect to the Wayland display: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	const (
		display, registry, callback = 1, 2, 3 // the objects, the last two of which are made by the requests
		sync, getRegistry           = 0, 1    // requests to the display
		most                        = 1 << 20 // bytes of an answer
	)
	var requests []byte
	for _, word := range []uint32{display, 12<<16 | getRegistry, registry, display, 12<<16 | sync, callback} {
		requests = binary.NativeEndian.AppendUint32(requests, word)
	}
	if _, err := conn.Write(requests); err != nil {
		return nil, fmt.Errorf("ask the Wayland display: %w", err)
	}
	var names []string
	for answer := bufio.NewReader(io.LimitReader(conn, most)); ; {
		object, body, err := waylandEvent(answer)
		switch {
		case err != nil:
			return nil, fmt.Errorf("read from the Wayland display: %w", err)
		case object == display:
			return nil, errors.New("the Wayland display refuses to tell what it offers")
		case object == callback: // all that was asked before is answered
			return names, nil
		case object == registry && len(body) > 8: // a number, the name with its length and a zero, a version
			name, _, _ := strings.Cut(string(body[8:]), "\x00")
			names = append(names, name)
		}
	}
}

// waylandEvent reads an event: the object that it is of, and its arguments.
func waylandEvent(r io.Reader) (object uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.NativeEndian.Uint32(head[4:]) >> 16)
	if size < len(head) {
		return 0, nil, errors.New("an event without an end")
	}
	body = make([]byte, size-len(head))
	_, err = io.ReadFull(r, body)
	return binary.NativeEndian.Uint32(head[:]), body, err
}
