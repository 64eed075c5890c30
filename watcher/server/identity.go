package server

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"porttray/watcher/owner"
)

// Four names say what is the same:
//
//	ID      a listener while it lives: its port and process
//	Target  what a Stop or Kill hits: a process or a container
//	Key     a server across restarts, on its port: its service, or its project and program
//	Same    whether two listeners on one port are one server, before and after a restart
//
// Nothing else in this program compares listeners or servers to find out whether they are the same.

// An ID names a listener while it lives: one port of one process. Unknown owners on a port share an ID.
type ID struct {
	Port      uint16
	PID       int32
	Start     uint64
	Container string // the target of a redirected port; else empty
}

// ID returns the listener's ID.
func (l Listener) ID() ID {
	id := ID{Port: l.Port, PID: l.Owner.PID, Start: l.Owner.Start}
	if l.Redirected {
		id.Container = l.Container.ID
	}
	return id
}

// Process returns the identity of the listener's process.
func (id ID) Process() owner.ID { return owner.ID{PID: id.PID, Start: id.Start} }

// A Target is the process or container that a Stop or Kill hits. It is zero for an unknown owner.
type Target struct {
	Process   owner.ID
	Container string
}

// Target returns the target of a Stop of the listener. One forwarder can serve one container after the other.
func (l Listener) Target() Target {
	if l.Container.ID != "" {
		return Target{Container: l.Container.ID}
	}
	return Target{Process: l.Owner.ID()}
}

// A Key names a server on its port across restarts. It is comparable. Two programs of one project have different keys,
// even if they are no known tool. Unknown owners on one port share a key. Keys can be kept in a file.
type Key struct {
	Port    uint16
	Kind    string // "service", "container", "project", "unit", "program" or "name"; empty for an unknown owner
	Where   string // the compose project, the project's directory, the unit, or the working directory
	Program string // the service, container, tool, script or program
}

// Key returns the key of the listener's server.
func (l Listener) Key() Key {
	k := Key{Port: l.Port}
	c, f := l.Container, l.Facts
	switch {
	case c.Service != "":
		k.Kind, k.Where, k.Program = "service", c.Project, c.Service
	case c.ID != "":
		k.Kind, k.Program = "container", cmp.Or(c.Name, c.ID)
	case !l.Owner.Known():
	case f.Project.Dir != "":
		k.Kind, k.Where = "project", f.Project.Dir
		k.Program = cmp.Or(strings.TrimSpace(f.Tool.Name+" "+f.Program), l.Owner.Name)
	case l.Owner.Exe == "" && f.Manager.Name != "": // often nothing else is visible of other users' services
		k.Kind, k.Where, k.Program = "unit", f.Manager.Name, l.Owner.Name
	case l.Owner.Exe != "" && l.Owner.Dir != "":
		k.Kind, k.Where, k.Program = "program", l.Owner.Dir, strings.TrimSpace(l.Owner.Exe+" "+f.Program)
	default: // too little is known to tell two programs apart
		k.Kind, k.Where, k.Program = "name", l.Owner.Dir, cmp.Or(l.Owner.Exe, l.Owner.Name)
	}
	k.Where, k.Program = valid(k.Where), valid(k.Program)
	return k
}

// valid makes text fit for a file.
func valid(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

// Anywhere returns the key of the server on any port.
func (k Key) Anywhere() Key {
	k.Port = 0
	return k
}

// Compare orders keys.
func (k Key) Compare(l Key) int {
	return cmp.Or(cmp.Compare(k.Port, l.Port), cmp.Compare(k.Kind, l.Kind), cmp.Compare(k.Where, l.Where),
		cmp.Compare(k.Program, l.Program))
}

// MarshalText writes a key as UTF-8 text, its parts between NUL bytes.
func (k Key) MarshalText() ([]byte, error) {
	return []byte(strings.Join([]string{strconv.Itoa(int(k.Port)), k.Kind, k.Where, k.Program}, "\x00")), nil
}

// UnmarshalText reads the result of MarshalText, or the format of earlier versions.
func (k *Key) UnmarshalText(text []byte) error {
	parts := strings.Split(string(text), "\x00")
	port, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil {
		return fmt.Errorf("the name of a server begins with its port: %w", errors.Unwrap(err))
	}
	for len(parts) < 4 {
		parts = append(parts, "")
	}
	*k = Key{uint16(port), parts[1], parts[2], parts[3]}
	if len(parts) > 4 { // format of earlier versions
		switch last := parts[4]; {
		case k.Kind == "program": // the program, its directory, its name
			k.Where, k.Program = parts[3], parts[2]
		case k.Program != "": // the compose project, the service, the name
			k.Kind = "service"
		default:
			k.Program = last
		}
	}
	return nil
}

// Same reports whether two listeners on one port are one server, before and after a restart. Unknown owners are never
// the same, nor are processes that share only a name.
func Same(a, b Listener) bool {
	k := a.Key()
	switch {
	case a.Port != b.Port, k.Kind == "":
		return false
	case a.Target() == b.Target(): // it closed its port for a moment
		return true
	}
	return k == b.Key() && k.Kind != "name"
}

// Different reports whether two listeners on one port are known to be different servers. Without readable facts it is
// false.
func Different(a, b Listener) bool {
	known := func(l Listener) bool { return l.Owner.Name != "" || l.Owner.Exe != "" || l.Container.ID != "" }
	return a.Port == b.Port && known(a) && known(b) && !Same(a, b)
}
