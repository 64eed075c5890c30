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

// adoptWayland sets WAYLAND_DISPLAY if no display is set and there is exactly one Wayland display. The browser and the
// clipboard need it. Programs that this program starts inherit it.
func adoptWayland() {
	if display(os.Getenv) == "" {
		if name := onlyWayland(os.Getenv("XDG_RUNTIME_DIR")); name != "" {
			os.Setenv("WAYLAND_DISPLAY", name) // cannot fail for this name
		}
	}
}

// onlyWayland returns the name of the only Wayland display in a runtime directory that accepts connections. It is empty
// if there is none, or if there are several.
func onlyWayland(dir string) string {
	if !filepath.IsAbs(dir) {
		return ""
	}
	files, _ := os.ReadDir(dir) // an unreadable directory counts as empty
	only := ""
	for _, f := range files {
		if !strings.HasPrefix(f.Name(), "wayland-") || f.Type() != os.ModeSocket {
			continue
		}
		conn, err := net.DialTimeout("unix", filepath.Join(dir, f.Name()), waylandLimit)
		if err != nil {
			continue // an ended session left it
		}
		conn.Close()
		if only != "" {
			return ""
		}
		only = f.Name()
	}
	return only
}

// waylandSocket returns the path of the Wayland display's socket, as the environment names it.
func waylandSocket(getenv func(string) string) string {
	name := getenv("WAYLAND_DISPLAY")
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(getenv("XDG_RUNTIME_DIR"), name)
}

// waylandInterfaces returns the names of the interfaces that a Wayland display offers to every client, see
// https://wayland.freedesktop.org/docs/html/apa.html. They are untrusted text. The call shows and changes nothing.
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
		display, registry, callback = 1, 2, 3 // the objects; the requests make the last two
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
			return nil, errors.New("the Wayland display refuses to list its interfaces")
		case object == callback: // all earlier requests are answered
			return names, nil
		case object == registry && len(body) > 8: // a number, the name with its length and a zero, a version
			name, _, _ := strings.Cut(string(body[8:]), "\x00")
			names = append(names, name)
		}
	}
}

// waylandEvent reads an event: its object and its arguments.
func waylandEvent(r io.Reader) (object uint32, body []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.NativeEndian.Uint32(head[4:]) >> 16)
	if size < len(head) {
		return 0, nil, errors.New("the size of an event is invalid")
	}
	body = make([]byte, size-len(head))
	_, err = io.ReadFull(r, body)
	return binary.NativeEndian.Uint32(head[:]), body, err
}
