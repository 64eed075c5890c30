//go:build !windows

package tray

// menuPeek is nil, because the system tells when the menu is opened.
var menuPeek func() bool
