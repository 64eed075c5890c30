package server

import (
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
)

// A serving says what a server is at a port. The zero value stands for all others, most likely web servers.
type serving struct {
	// Speaks is the protocol's name if a browser is of no use: "PostgreSQL", "SSH". Otherwise it is empty.
	Speaks string
	// Risk is the kind of server that other machines should not reach, or empty. It does not say whether they can.
	Risk string
}

// servingAt returns the service of a process at a port. Facts about the process count first: Vite at PostgreSQL's port
// is Vite. The port decides if the process is hidden or passes connections on, like a container's forwarder. For a
// container, f holds the facts about the container, and port is the container's own port if known.
func servingAt(p owner.Process, f facts.Facts, port uint16) serving {
	if name := debuggerAt(p, f, port); name != "" {
		return kindsByName[name].at(port)
	}
	self := f.Own() // a program under Delve is no debugger
	if s, ok := kindsByName[self.Name]; ok || self.Kind == facts.Server && !relays[self.Name] {
		return s.at(port)
	}
	if portDecides(p) || relays[self.Name] {
		return kindsByPort[port].at(port)
	}
	for _, name := range namesOf(p) {
		if s, ok := kindsByProgram[name]; ok {
			return s.at(port)
		}
	}
	return serving{}
}

// debuggerAt returns the kind of debugger that can attach to a runtime at a port, or nothing.
func debuggerAt(p owner.Process, f facts.Facts, port uint16) string {
	if f.Debugger.Port == port && port != 0 {
		return f.Debugger.Name
	}
	for _, d := range debugPorts {
		if port >= d.first && port <= d.last && runs(p, d.programs) {
			return d.name
		}
	}
	return ""
}

// portDecides reports whether only the port can tell the service: the process is hidden or holds the port for others.
func portDecides(p owner.Process) bool {
	if p.Name == "" && p.Exe == "" || p.Forwards() || owner.IsManager(p.Name) {
		return true
	}
	return relays[p.Name]
}

// runs reports whether the process runs one of the space-separated programs.
func runs(p owner.Process, programs string) bool {
	names := namesOf(p)
	listed := strings.Fields(programs)
	return slices.Contains(listed, names[0]) || slices.Contains(listed, names[1])
}

// namesOf returns the process's own name and its program's name.
func namesOf(p owner.Process) [2]string {
	var names [2]string
	for i, name := range [2]string{p.Name, filepath.Base(p.Exe)} {
		names[i] = strings.TrimSuffix(name, ".exe")
	}
	return names
}

// A preparedKind is a line of the table of servers with parsed ports.
type preparedKind struct {
	serverKind
	all           bool // all ports except those in except
	other, except map[uint16]bool
}

// at returns the serving at a port.
func (k preparedKind) at(port uint16) serving {
	s := serving{Risk: k.risk}
	if k.other[port] || k.all && !k.except[port] {
		s.Speaks = k.name
	}
	return s
}

// The table of servers by name, program and known port.
var kindsByName, kindsByProgram, kindsByPort = readKinds()

// readKinds parses the table of servers.
func readKinds() (names, programs map[string]preparedKind, ports map[uint16]preparedKind) {
	names, programs, ports = map[string]preparedKind{}, map[string]preparedKind{}, map[uint16]preparedKind{}
	for _, s := range serverKinds {
		k := preparedKind{serverKind: s, other: map[uint16]bool{}, except: map[uint16]bool{}}
		for word := range strings.FieldsSeq(s.other) {
			exception, isException := strings.CutPrefix(word, "!")
			switch {
			case word == "*":
				k.all = true
			case isException:
				addPorts(k.except, exception)
			default:
				addPorts(k.other, word)
			}
		}
		names[s.name] = k
		for program := range strings.FieldsSeq(s.programs) {
			programs[program] = k
		}
		for word := range strings.FieldsSeq(s.known) {
			at := map[uint16]bool{}
			addPorts(at, word)
			for port := range at {
				ports[port] = k
			}
		}
	}
	return names, programs, ports
}

// addPorts adds a port or a range of ports. It ignores invalid text; the tests find that.
func addPorts(set map[uint16]bool, text string) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err != nil || err2 != nil || last == math.MaxUint16 {
		return
	}
	for port := first; port <= last; port++ {
		set[uint16(port)] = true
	}
}
