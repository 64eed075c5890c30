//go:build !windows

package tray

import "errors"

// popUp is described in popup_windows.go. Other systems use beeep.
func popUp(notice) error { return errors.ErrUnsupported }
