package tray

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porttray/watcher/doctor"
)

func TestCopyWays(t *testing.T) {
	refused := errors.New("nothing listens")
	const kept = "; copied text is lost when porttray ends, unless a clipboard manager keeps it"
	tests := []struct {
		name string
		ways copyWays
		says string
	}{
		{"sway", copyWays{wayland: true, dataControl: true}, "by Wayland (data-control)" + kept},
		{"KDE", copyWays{wayland: true, dataControl: true, x: true}, "by Wayland (data-control)" + kept},
		{"X", copyWays{x: true}, "by X" + kept},
		{"GNOME", copyWays{wayland: true, x: true},
			"by X (Xwayland), because the compositor offers no data-control" + kept},
		{"GNOME without X", copyWays{wayland: true},
			"nothing can be copied: the compositor offers no data-control, and there is no X (DISPLAY is not set)"},
		{"nothing", copyWays{},
			"nothing can be copied: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"},
		{"X is gone", copyWays{x: true, xErr: refused},
			"nothing can be copied: the X server does not answer: nothing listens"},
		{"Wayland is gone", copyWays{wayland: true, waylandErr: refused},
			"nothing can be copied: nothing listens, and there is no X (DISPLAY is not set)"},
		{"both are gone", copyWays{wayland: true, waylandErr: refused, x: true, xErr: refused},
			"nothing can be copied: nothing listens, and the X server does not answer: nothing listens"},
	}
	for _, tt := range tests {
		f := tt.ways.finding()
		if works := !strings.HasPrefix(tt.says, "nothing"); f.Says != tt.says || (f.State == doctor.Works) != works ||
			(f.Fix == "") != works || f.Fatal {
			t.Errorf("%s: %+v, want %s", tt.name, f, tt.says)
		}
	}
}

func TestConnectX(t *testing.T) {
	for display, want := range map[string]string{
		"elsewhere:3": "", ":61977": "nothing listens for display :61977",
		":61977.1":   "nothing listens for display :61977",
		"unix:61977": "nothing listens for display :61977", "": `DISPLAY is ""`, ":": `DISPLAY is ":"`,
		":../x": `DISPLAY is ":../x"`,
	} {
		got := ""
		if err := connectX(t.Context(), display); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", display, got, want)
		}
	}
}

func TestOnlyWayland(t *testing.T) {
	dir := t.TempDir()
	listen := func(name string) net.Listener {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	want := func(name string) {
		t.Helper()
		if got := onlyWayland(dir); got != name {
			t.Errorf("found %q, want %q", got, name)
		}
	}
	want("")
	listen("bus")
	old := listen("wayland-0").(*net.UnixListener)
	old.SetUnlinkOnClose(false) // as after a crash
	old.Close()
	if err := os.WriteFile(filepath.Join(dir, "wayland-1.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want("")
	listen("wayland-1")
	want("wayland-1")
	listen("wayland-2")
	want("")
	if got := onlyWayland(""); got != "" {
		t.Errorf("without a directory: %q", got)
	}
}

// A Wayland display may send any answer, or none.
func TestWaylandInterfaces(t *testing.T) {
	const name = "\x02\x00\x00\x00\x00\x00\x1c\x00" + "\x01\x00\x00\x00\x07\x00\x00\x00wl_shm\x00\x00\x01\x00\x00\x00"
	const done = "\x03\x00\x00\x00\x00\x00\x0c\x00\x00\x00\x00\x00"
	tests := map[string]struct{ answer, names, fails string }{
		"nothing offered": {done, "", ""},
		"one":             {name + done, "wl_shm", ""},
		"two":             {name + name + done, "wl_shm wl_shm", ""},
		"cut off":         {name + done[:5], "", "EOF"},
		"an error":        {"\x01\x00\x00\x00\x00\x00\x08\x00", "", "refuses"},
		"too short":       {"\x02\x00\x00\x00\x00\x00\x00\x00", "", "the size of an event is invalid"},
		"a name too long": {"\x02\x00\x00\x00\x00\x00\x14\x00" + "\x01\x00\x00\x00\xff\xff\xff\xff----" + done, "----",
			""},
		"without an end": {strings.Repeat(name, 1<<16), "", "EOF"},
		"silence":        {"", "", "timeout"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "wayland-0")
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				conn.Read(make([]byte, 64))
				conn.Write([]byte(tt.answer))
				if tt.fails == "timeout" {
					conn.Read(make([]byte, 1))
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if tt.fails != "timeout" {
				ctx = t.Context()
			}
			names, err := waylandInterfaces(ctx, socket)
			failed := ""
			if err != nil {
				failed = err.Error()
			}
			if got := strings.Join(names, " "); got != tt.names || (tt.fails == "") != (err == nil) ||
				!strings.Contains(failed, tt.fails) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.names, tt.fails)
			}
		})
	}
}
