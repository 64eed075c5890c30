//go:build !windows

package tray

import "errors"

// toast shows a Windows notification. There are none here.
func toast(string) error { return errors.ErrUnsupported }
