package settings

import (
	"slices"

	"porttray/watcher"
	"porttray/watcher/server"
)

// Applied returns a copy of the update with the rules' names and sections for servers. It does not change u.
func (s Settings) Applied(u watcher.Update) watcher.Update {
	if len(s.Rules) == 0 {
		return u
	}
	u.Snapshot.Listeners, u.Snapshot.Servers = slices.Clone(u.Snapshot.Listeners), slices.Clone(u.Snapshot.Servers)
	u.Events = slices.Clone(u.Events)
	for i, l := range u.Snapshot.Listeners {
		u.Snapshot.Listeners[i].Label = s.Rule(l).Label
	}
	for i := range u.Snapshot.Servers {
		s.apply(&u.Snapshot.Servers[i])
	}
	server.TitleAll(u.Snapshot.Servers)
	for i := range u.Events {
		s.apply(&u.Events[i].Server)
		if u.Events[i].Before.Port != 0 {
			s.apply(&u.Events[i].Before)
		}
	}
	return u
}

// apply sets the name and the section of a server by the rule for its head port.
func (s Settings) apply(on *server.Server) {
	rule := s.Rule(on.Listener)
	if on.Section = rule.Section(on.Section); rule.Label != "" {
		on.Label = rule.Label
		on.Title = on.Name()
	}
	on.Also, on.Parts = slices.Clone(on.Also), slices.Clone(on.Parts)
	for _, list := range [][]server.Listener{on.Also, on.Parts} {
		for i, l := range list {
			list[i].Label = s.Rule(l).Label
		}
	}
}
