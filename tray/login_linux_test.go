package tray

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestLogin turns the start at login on and off, as we do and as the person or a desktop does.
func TestLogin(t *testing.T) {
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	file := filepath.Join(config, "autostart", "porttray.desktop")
	enabled := func(want bool, when string) {
		t.Helper()
		if got, err := loginEnabled(); got != want || err != nil {
			t.Errorf("%s: enabled %v, %v, want %v", when, got, err, want)
		}
	}
	enabled(false, "at first")
	if err := disableLogin(); err != nil {
		t.Errorf("turned off though it is: %v", err)
	}
	for _, exe := range []string{"/usr/bin/porttray", "/opt/my tools/porttray"} {
		if err := enableLogin(exe); err != nil {
			t.Fatal(err)
		}
		enabled(true, "turned on")
		if got, err := os.ReadFile(file); string(got) != autostartEntry(exe) {
			t.Errorf("the entry is\n%s%v", got, err)
		}
	}
	if err := os.WriteFile(file, []byte(autostartEntry("/usr/bin/porttray")+"Hidden=true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	enabled(false, "hidden")
	if err := enableLogin("/usr/bin/porttray"); err != nil {
		t.Fatal(err)
	}
	enabled(true, "turned on again")
	if err := disableLogin(); err != nil {
		t.Fatal(err)
	}
	enabled(false, "turned off")
	if err := os.WriteFile(filepath.Join(config, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(config, "file"))
	if err := enableLogin("/usr/bin/porttray"); err == nil {
		t.Error("turned on where nothing can be written")
	}
}

// TestLoginIsNotMisled puts endless files in place of the entry and turns the start at login on. The entry replaces
// them, and nothing is written elsewhere.
func TestLoginIsNotMisled(t *testing.T) {
	config := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	file, precious := filepath.Join(config, "autostart", "porttray.desktop"), filepath.Join(config, "precious")
	if err := errors.Join(os.Mkdir(filepath.Dir(file), 0o700),
		os.WriteFile(precious, []byte("text"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func() error{
		"FIFO":                        func() error { return syscall.Mkfifo(file, 0o600) },
		"link to a device":            func() error { return os.Symlink("/dev/zero", file) },
		"link to a file of one's own": func() error { return os.Symlink(precious, file) },
		"dangling link":               func() error { return os.Symlink("gone", file) },
	} {
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if on, err := loginEnabled(); on && err != nil {
			t.Errorf("%s: enabled, and %v", name, err)
		}
		if err := enableLogin("/usr/bin/porttray"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(file); string(text) != autostartEntry("/usr/bin/porttray") {
			t.Errorf("%s: the entry is %q, %v", name, text, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(precious); string(text) != "text" || exists(filepath.Join(filepath.Dir(file), "gone")) {
		t.Errorf("something was written through a link: %q, %v", text, err)
	}
}
