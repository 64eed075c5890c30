package tray

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLogin turns the start at login on and off, by ourselves and as the person or a desktop does.
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
