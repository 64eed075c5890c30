package settings

import (
	"slices"

	"porttray/watcher"
)

// Labelled returns an update in which the listeners have the names that the rules give them. What u holds stays as it was.
func (s Settings) Labelled(u watcher.Update) watcher.Update {
	named := func(l watcher.Listener) bool { return l.Label != "" }
	if len(s.Rules) == 0 && !slices.ContainsFunc(u.Snapshot.Listeners, named) {
		return u
	}
	name := func(l *watcher.Listener) { l.Label = s.Rule(*l).Label }
	u.Snapshot.Listeners, u.Events = slices.Clone(u.Snapshot.Listeners), slices.Clone(u.Events)
	for i := range u.Snapshot.Listeners {
		name(&u.Snapshot.Listeners[i])
	}
	for i := range u.Events {
		name(&u.Events[i].Listener)
		if u.Events[i].Kind != watcher.Opened && u.Events[i].Kind != watcher.Closed {
			name(&u.Events[i].Before)
		}
	}
	return u
}
