package settings

import (
	"slices"

	"porttray/watcher"
)

// Applied returns the update with the names and sections that the rules give to servers. What u holds stays as it was.
func (s Settings) Applied(u watcher.Update) watcher.Update {
	if len(s.Rules) == 0 {
		return u
	}
	u.Snapshot.Listeners, u.Snapshot.Servers, u.Events = slices.Clone(u.Snapshot.Listeners), slices.Clone(u.Snapshot.Servers), slices.Clone(u.Events)
	for i, l := range u.Snapshot.Listeners {
		u.Snapshot.Listeners[i].Label = s.Rule(l).Label
	}
	for i := range u.Snapshot.Servers {
		s.apply(&u.Snapshot.Servers[i])
	}
	watcher.TitleAll(u.Snapshot.Servers)
	for i := range u.Events {
		s.apply(&u.Events[i].Server)
		if u.Events[i].Before.Port != 0 {
			s.apply(&u.Events[i].Before)
		}
	}
	return u
}

// apply gives a server what the rule for its head port says.
func (s Settings) apply(on *watcher.Server) {
	rule := s.Rule(on.Listener)
	if on.Section = rule.Section(on.Section); rule.Label != "" {
		on.Label = rule.Label
		on.Title = on.Name()
	}
	on.Also, on.Parts = slices.Clone(on.Also), slices.Clone(on.Parts)
	for _, list := range [][]watcher.Listener{on.Also, on.Parts} {
		for i, l := range list {
			list[i].Label = s.Rule(l).Label
		}
	}
}
