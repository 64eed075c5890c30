package tray

import (
	"testing"

	"porttray/watcher/doctor"
)

func TestExamineDisplay(t *testing.T) {
	const none = "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
	type env map[string]string
	tests := []struct {
		name   string
		env    env
		remote bool
		shown  bool
		state  doctor.State
		says   string
	}{
		{"X11", env{"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11"}, false, false, doctor.Works, "X11"},
		{"Wayland", env{"WAYLAND_DISPLAY": "wayland-0", "XDG_CURRENT_DESKTOP": "sway"}, false, false, doctor.Works,
			"sway on Wayland"},
		{"Wayland with Xwayland", env{"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0", "XDG_CURRENT_DESKTOP": "GNOME"},
			false, false, doctor.Works, "GNOME on Wayland"},
		{"hostile desktop", env{"DISPLAY": ":0", "XDG_CURRENT_DESKTOP": "a\x1b[1m\nb\u202e"}, false, false,
			doctor.Works, "a [1m b on X11"},
		{"nothing", env{}, false, false, doctor.Broken, none},
		{"a text console", env{"XDG_SESSION_TYPE": "tty\n"}, false, false, doctor.Broken,
			none + "; the session type is tty"},
		{"ssh", env{"XDG_SESSION_TYPE": "tty"}, true, false, doctor.Broken, none + "; this terminal runs over ssh"},
		{"ssh with a display", env{"DISPLAY": "localhost:10.0"}, true, false, doctor.Lacks,
			"X11, but this terminal runs over ssh: without a command, porttray then watches in the terminal"},
		{"a unit of systemd", env{}, false, true, doctor.Lacks,
			none + "; the tray works, but opened programs may not appear"},
		{"a unit of systemd, over ssh", env{}, true, true, doctor.Lacks,
			none + ", but this terminal runs over ssh: without a command, porttray then watches in the terminal"},
		{"a unit of systemd, and a display that was found", env{"WAYLAND_DISPLAY": "wayland-1"}, false, true,
			doctor.Works,
			"Wayland, socket wayland-1; WAYLAND_DISPLAY is not set"},
	}
	for _, tt := range tests {
		f := examineDisplay(func(name string) string { return tt.env[name] }, tt.remote, tt.shown)
		if f.State != tt.state || f.Says != tt.says || f.Fatal != (tt.state == doctor.Broken) ||
			(f.State == doctor.Works) != (f.Fix == "") {
			t.Errorf("%s: %+v, want %v: %s", tt.name, f, tt.state, tt.says)
		}
	}
}

func TestHostFix(t *testing.T) {
	gnome, budgie, other := hostFix("GNOME"), hostFix("Budgie"), hostFix("XFCE")
	if gnome == other || budgie == other || gnome == budgie {
		t.Fatal("GNOME and Budgie need a cure of their own")
	}
	for desktop, want := range map[string]string{
		"ubuntu:GNOME": gnome, "GNOME-Classic:GNOME": gnome, "Budgie:GNOME": budgie, "KDE": other, "": other,
		"X-GNOME": other,
	} {
		if got := hostFix(desktop); got != want {
			t.Errorf("%q: %s", desktop, got)
		}
	}
}

func TestMenuButton(t *testing.T) {
	for desktop, want := range map[string]string{"": "left", "KDE": "left", "X-Cinnamon": "left", "MATE": "right",
		"LXQt": "right", "ubuntu:GNOME": "left"} {
		if got := menuButton(desktop); got != want {
			t.Errorf("%q: %s, want %s", desktop, got, want)
		}
	}
}
