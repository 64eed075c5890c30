//go:build !linux

package tray

// ownMenu is described in busmenu_linux.go. Here systray's menu is the system's.
func ownMenu(theirs node, f face, _ chan<- struct{}) (root node, same face, built func()) {
	return theirs, f, func() {}
}
