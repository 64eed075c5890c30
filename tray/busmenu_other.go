//go:build !linux

package tray

import "context"

// ownMenu is described in busmenu_linux.go. Here systray's menu is the system's.
func ownMenu(theirs node, f face, _ chan<- struct{}) (root node, same face, publish func(context.Context)) {
	return theirs, f, func(context.Context) {}
}
