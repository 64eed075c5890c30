package tray

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"porttray/watcher/trusted"
)

func autostartFile() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the autostart directory: %w", err)
	}
	return filepath.Join(dir, "autostart", "porttray.desktop"), nil
}

// loginEnabled is described in login.go.
func loginEnabled() (bool, error) {
	file, err := autostartFile()
	if err != nil {
		return false, err
	}
	const limit = 1 << 20 // bytes
	entry, err := trusted.Read(file, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the autostart entry: %w", err)
	}
	return inForce(string(entry)), nil
}

// enableLogin is described in login.go.
func enableLogin(exe string) error {
	file, err := autostartFile()
	if err == nil {
		err = writeWhole(file, autostartEntry(exe))
	}
	if err != nil {
		return fmt.Errorf("turn on start at login: %w", err)
	}
	return nil
}

// disableLogin is described in login.go.
func disableLogin() error {
	file, err := autostartFile()
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("turn off start at login: %w", err)
	}
	return nil
}
