//go:build !windows

package tray

import "errors"

// popUp is described in popup_windows.go. Here beeep knows what to do.
func popUp(notice) error { return errors.ErrUnsupported }
