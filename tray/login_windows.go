package tray

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows/registry"
)

// These keys are below HKEY_CURRENT_USER. runKey lists the programs to start at login. approvedKey holds those that the
// person turned off in the Task Manager or the settings.
const (
	runKey      = `Software\Microsoft\Windows\CurrentVersion\Run`
	approvedKey = `Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run`
	runValue    = "porttray"
)

// loginEnabled is described in login.go.
func loginEnabled() (bool, error) {
	run, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if err == nil {
		defer run.Close()
		_, _, err = run.GetStringValue(runValue)
	}
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the registry entry: %w", err)
	}
	approved, err := registry.OpenKey(registry.CURRENT_USER, approvedKey, registry.QUERY_VALUE)
	if err != nil {
		return true, nil // the person turned nothing off
	}
	defer approved.Close()
	// The lowest bit means off. Then follows the time of the change. This is undocumented.
	state, _, err := approved.GetBinaryValue(runValue)
	return err != nil || len(state) == 0 || state[0]&1 == 0, nil
}

// enableLogin is described in login.go.
func enableLogin(exe string) error {
	line, err := runCommand(exe)
	if err == nil {
		err = setRun(line)
	}
	if err == nil {
		err = removeValue(approvedKey)
	}
	if err != nil {
		return fmt.Errorf("turn on start at login: %w", err)
	}
	return nil
}

func setRun(line string) error {
	run, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer run.Close()
	return run.SetStringValue(runValue, line)
}

// disableLogin is described in login.go.
func disableLogin() error {
	if err := errors.Join(removeValue(runKey), removeValue(approvedKey)); err != nil {
		return fmt.Errorf("turn off start at login: %w", err)
	}
	return nil
}

// removeValue removes this program's value from a key, if it has one.
func removeValue(key string) error {
	k, err := registry.OpenKey(registry.CURRENT_USER, key, registry.SET_VALUE)
	if err == nil {
		defer k.Close()
		err = k.DeleteValue(runValue)
	}
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return err
}
