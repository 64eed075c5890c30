package tray

import (
	"slices"

	"porttray/watcher"
)

// forgive forgets that a server closed while the computer slept: the person ended it since.
func (j *judge) forgive(l watcher.Listener) {
	j.lost = slices.DeleteFunc(j.lost, func(s watcher.Server) bool { return muteKey(s.Listener) == muteKey(l) })
}
