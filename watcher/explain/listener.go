package explain

import (
	"cmp"
	"net/netip"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/port"
)

// A Listener is what is told of a listener, under the names that it has in JSON. What is not known is absent. All texts are as
// their process or engine gives them: untrusted. The names of fields stay as they are.
type Listener struct {
	Port      uint16       `json:"port"`
	Name      string       `json:"name,omitempty"`    // of a server, as the menu has it
	Role      string       `json:"role,omitempty"`    // what the port is for, where that is not what people mean by the server
	Addresses []netip.Addr `json:"addresses"`         // bind addresses, sorted
	Exposed   bool         `json:"exposed"`           // other machines can reach it, as far as its addresses tell
	Risk      string       `json:"risk,omitempty"`    // what it is that they had better not reach, if they can
	Widened   bool         `json:"widened,omitempty"` // they can, and could not before
	Speaks    string       `json:"speaks,omitempty"`  // what, where that is known to be nothing for a browser
	Class     string       `json:"class"`             // of the port: well-known, registered or dynamic (RFC 6335)
	Service   string       `json:"service,omitempty"` // which the system's list of services gives the port to
	PID       int32        `json:"pid,omitempty"`
	Process   string       `json:"process,omitempty"`       // its name
	User      string       `json:"user,omitempty"`          // who it runs as
	Project   string       `json:"project,omitempty"`       // its name, for a container that of its compose project
	Directory string       `json:"directory,omitempty"`     // the project's, else the process's working directory
	Tool      string       `json:"tool,omitempty"`          // Vite, PostgreSQL
	Label     string       `json:"label,omitempty"`         // what the person calls it
	Container string       `json:"container,omitempty"`     // its name
	Manager   string       `json:"manager,omitempty"`       // the service that would start it again
	Started   time.Time    `json:"started,omitzero"`        // in RFC 3339
	Section   string       `json:"section"`                 // main, other or hidden
	Restarts  int          `json:"restarts,omitempty"`      // how many were seen
	Further   []Further    `json:"further_ports,omitempty"` // of a server, in port order
	Stale     bool         `json:"stale,omitempty"`         // it is as it was when the list could last be read
	Command   string       `json:"command,omitempty"`       // that starts it again, only if it was asked for: it may hold secrets

	Place, Runs string `json:"-"` // the parts of the name
}

// A Further is one more port of a server.
type Further struct {
	Port      uint16       `json:"port"`
	Role      string       `json:"role,omitempty"`
	Addresses []netip.Addr `json:"addresses"`
	Exposed   bool         `json:"exposed"`
	Risk      string       `json:"risk,omitempty"`
	Speaks    string       `json:"speaks,omitempty"`
	PID       int32        `json:"pid,omitempty"`
	Process   string       `json:"process,omitempty"`
}

// OfServer tells of a server: of its head, and of its further ports.
func OfServer(s watcher.Server, system port.System) Listener {
	told := Of(s.Listener, s.Section, system)
	told.Name, told.Place, told.Runs = s.Title, s.Place, s.Runs
	for _, l := range s.Also {
		told.Further = append(told.Further, furtherOf(Of(l, s.Section, system)))
	}
	return told
}

// furtherOf returns what is told of a further port.
func furtherOf(l Listener) Further {
	return Further{l.Port, l.Role, l.Addresses, l.Exposed, l.Risk, l.Speaks, l.PID, l.Process}
}

// Of returns what is told of a listener that is a server or a further port of one in that section.
func Of(l watcher.Listener, section watcher.Section, system port.System) Listener {
	p, facts := l.Owner, l.Facts
	told := Listener{
		Port:      l.Port,
		Role:      l.Role(),
		Addresses: l.Addrs,
		Exposed:   l.Exposed(),
		Widened:   l.Widened,
		Speaks:    l.Speaks(),
		Class:     port.ClassOf(l.Port).String(),
		Service:   system.Service(l.Port),
		PID:       p.PID,
		Process:   p.Name,
		User:      owner.UserName(p.User),
		Project:   facts.Project.Name,
		Directory: l.Directory(),
		Tool:      facts.Tool.Name,
		Label:     l.Label,
		Manager:   facts.Manager.Name,
		Started:   p.Since.Truncate(time.Second),
		Section:   section.String(),
		Restarts:  l.Restarts,
	}
	if l.Exposed() {
		told.Risk = l.Risk()
	}
	if l.Container.ID != "" { // what forwards to it says nothing about it
		told.Project = l.Container.Project
		if !l.Hosted() {
			told.Started = time.Time{}
		}
		told.Container = cmp.Or(l.Container.Name, l.Container.ID)
	}
	return told
}

// Servers returns what is told of the servers of a snapshot, in port order.
func Servers(s watcher.Snapshot, system port.System) []Listener {
	all := make([]Listener, 0, len(s.Servers))
	for _, server := range s.Servers {
		all = append(all, OfServer(server, system))
	}
	return all
}
