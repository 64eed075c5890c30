package explain

import (
	"cmp"
	"net/netip"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
)

// A Listener describes a listener or a server in JSON. Its JSON names are stable. Unknown facts are absent. All texts
// are untrusted: they come unchanged from the process or the engine.
type Listener struct {
	Port      uint16       `json:"port"`
	Name      string       `json:"name,omitempty"`    // of a server, as in the menu
	Role      string       `json:"role,omitempty"`    // the purpose of the port, if it is not the main port
	Addresses []netip.Addr `json:"addresses"`         // bind addresses, sorted
	Exposed   bool         `json:"exposed"`           // other machines can reach it, judging by its addresses
	Risk      string       `json:"risk,omitempty"`    // the kind of server that they should not reach, but can
	Widened   bool         `json:"widened,omitempty"` // they can reach it now, but could not before
	Speaks    string       `json:"speaks,omitempty"`  // its protocol, if that is not for a browser
	Class     string       `json:"class"`             // of the port: well-known, registered or dynamic (RFC 6335)
	Service   string       `json:"service,omitempty"` // the name of the port in the system's list of services
	PID       int32        `json:"pid,omitempty"`
	Process   string       `json:"process,omitempty"`       // name
	User      string       `json:"user,omitempty"`          // name of the process's user
	Project   string       `json:"project,omitempty"`       // name; for a container, of its compose project
	Directory string       `json:"directory,omitempty"`     // the project's, else the process's working directory
	Tool      string       `json:"tool,omitempty"`          // Vite, PostgreSQL
	Label     string       `json:"label,omitempty"`         // the name in the person's settings
	Container string       `json:"container,omitempty"`     // name
	Manager   string       `json:"manager,omitempty"`       // the service that would start it again
	Started   time.Time    `json:"started,omitzero"`        // in RFC 3339
	Section   string       `json:"section"`                 // main, other or hidden
	Restarts  int          `json:"restarts,omitempty"`      // since porttray first saw it
	Further   []Further    `json:"further_ports,omitempty"` // of a server, in port order
	Stale     bool         `json:"stale,omitempty"`         // from the last good scan; the list cannot be read now
	Command   string       `json:"command,omitempty"`       // starts it again; only on request, as it may hold secrets

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

// OfServer describes a server: its head port and its further ports.
func OfServer(s server.Server, system port.System) Listener {
	head := listenerOf(s.Listener, s.Section, system)
	head.Name, head.Place, head.Runs = s.Title, s.Place, s.Runs
	for _, l := range s.Also {
		head.Further = append(head.Further, furtherOf(listenerOf(l, s.Section, system)))
	}
	return head
}

// furtherOf describes a further port.
func furtherOf(l Listener) Further {
	return Further{l.Port, l.Role, l.Addresses, l.Exposed, l.Risk, l.Speaks, l.PID, l.Process}
}

// listenerOf describes a single listener of a server in the section.
func listenerOf(l server.Listener, section server.Section, system port.System) Listener {
	p, facts := l.Owner, l.Facts
	out := Listener{
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
		out.Risk = l.Risk()
	}
	if l.Container.ID != "" { // the forwarder's own facts do not describe the container
		out.Project = l.Container.Project
		if !l.Hosted() {
			out.Started = time.Time{}
		}
		out.Container = cmp.Or(l.Container.Name, l.Container.ID)
	}
	return out
}

// Servers describes the servers of a snapshot, in port order.
func Servers(s watcher.Snapshot, system port.System) []Listener {
	all := make([]Listener, 0, len(s.Servers))
	for _, server := range s.Servers {
		all = append(all, OfServer(server, system))
	}
	return all
}
