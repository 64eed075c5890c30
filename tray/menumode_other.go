//go:build !windows

package tray

// menuPeek is nil where the system tells by itself when the menu is opened.
var menuPeek func() bool
