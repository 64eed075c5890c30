package tray

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func agentFile() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the directory of launch agents: %w", err)
	}
	return filepath.Join(home, "Library", "LaunchAgents", appID+".plist"), nil
}

// loginEnabled is described in login.go. If the person turned the agent off in the system settings, only launchd knows
// that.
func loginEnabled() (bool, error) {
	file, err := agentFile()
	if err != nil {
		return false, err
	}
	_, err = os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the launch agent: %w", err)
	}
	return true, nil
}

// enableLogin is described in login.go. The agent is not loaded now, because the program runs already.
func enableLogin(exe string) error {
	file, err := agentFile()
	if err == nil {
		err = writeWhole(file, launchAgent(exe))
	}
	if err != nil {
		return fmt.Errorf("turn on start at login: %w", err)
	}
	return nil
}

// disableLogin is described in login.go.
func disableLogin() error {
	file, err := agentFile()
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("turn off start at login: %w", err)
	}
	return nil
}
