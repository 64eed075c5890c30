package tray

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/windows/registry"
)

// TestLogin turns the start at login on and off, as we do and as the Task Manager does. It uses the real registry and
// restores the old values.
func TestLogin(t *testing.T) {
	keep(t, runKey)
	keep(t, approvedKey)
	enabled := func(want bool, when string) {
		t.Helper()
		if got, err := loginEnabled(); got != want || err != nil {
			t.Errorf("%s: enabled %v, %v, want %v", when, got, err, want)
		}
	}
	for range 2 {
		if err := disableLogin(); err != nil {
			t.Fatal(err)
		}
		enabled(false, "turned off")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := enableLogin(exe); err != nil {
		t.Fatal(err)
	}
	enabled(true, "turned on")
	run := openKey(t, runKey)
	if got, _, err := run.GetStringValue(runValue); got != `"`+exe+`" tray` || err != nil {
		t.Errorf("the command is %s, %v", got, err)
	}
	approved := openKey(t, approvedKey)
	for state, want := range map[byte]bool{2: true, 3: false, 6: true, 7: false} {
		if err := approved.SetBinaryValue(runValue, []byte{state, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			t.Fatal(err)
		}
		enabled(want, fmt.Sprintf("state %d", state))
	}
	if err := approved.SetBinaryValue(runValue, []byte{3}); err != nil {
		t.Fatal(err)
	}
	if err := enableLogin(exe); err != nil {
		t.Fatal(err)
	}
	enabled(true, "turned on though the Task Manager had turned it off")
}

// openKey opens a key for the length of the test.
func openKey(t *testing.T, key string) registry.Key {
	t.Helper()
	k, _, err := registry.CreateKey(registry.CURRENT_USER, key, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// keep restores this program's value of a key at the end of the test.
func keep(t *testing.T, key string) {
	t.Helper()
	k := openKey(t, key)
	text, _, textErr := k.GetStringValue(runValue)
	data, _, dataErr := k.GetBinaryValue(runValue)
	t.Cleanup(func() {
		var err error
		switch {
		case textErr == nil:
			err = k.SetStringValue(runValue, text)
		case dataErr == nil:
			err = k.SetBinaryValue(runValue, data)
		default:
			err = k.DeleteValue(runValue)
		}
		if err != nil && !errors.Is(err, registry.ErrNotExist) {
			t.Errorf("put %s back: %v", key, err)
		}
	})
}
