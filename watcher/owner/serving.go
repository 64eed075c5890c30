package owner

import (
	"cmp"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Serving is what a server is known to be at a port. The zero value stands for all others: most likely they are web servers.
type Serving struct {
	// Speaks is the name of what it speaks, where that is nothing for a browser: "PostgreSQL", "SSH". Else it is empty.
	Speaks string
	// Risk is what it is that other machines had better not reach, or empty. It does not say whether they can.
	Risk string
}

// ServingAt tells what a process serves at a port. What is known about the process counts first: Vite at PostgreSQL's port is
// Vite. The port decides where the process is hidden or passes connections on, as a container's forwarder does. For a container
// the facts are those about it, and the port is its own where that is known.
func ServingAt(p Process, f Facts, port uint16) Serving {
	if name := debuggerAt(p, f, port); name != "" {
		return kindsByName[name].at(port)
	}
	self := f.Own() // a program that Delve runs is no debugger
	if s, ok := kindsByName[self.Name]; ok || self.Kind == Server && !relays[self.Name] {
		return s.at(port)
	}
	if portDecides(p) || relays[self.Name] {
		return kindsByPort[port].at(port)
	}
	for _, name := range p.names() {
		if s, ok := kindsByProgram[name]; ok {
			return s.at(port)
		}
	}
	return Serving{}
}

// debuggerAt returns the kind of debugger that a runtime waits for at a port, or nothing.
func debuggerAt(p Process, f Facts, port uint16) string {
	if f.Debugger.Port == port && port != 0 {
		return f.Debugger.Name
	}
	for _, d := range debugPorts {
		if port >= d.first && port <= d.last && p.runs(d.programs) {
			return d.name
		}
	}
	return ""
}

// waits returns where a process with these arguments waits for a debugger. A port of the system's choice is not known.
func findDebugger(args []string) DebuggerPort {
	args = titleWords(args)
	for i, arg := range args {
		if settings, ok := strings.CutPrefix(arg, "-Xrunjdwp:"); ok { // as old versions of Java call it
			arg = "-agentlib:jdwp=" + settings
		}
		option, value, valued := strings.Cut(arg, "=")
		for _, d := range debugOptions {
			if !among(d.options, option) || d.program != "" && !slices.ContainsFunc(args[:i], func(a string) bool { return lastElement(a) == d.program }) {
				continue
			}
			if d.program != "" && !valued && i+1 < len(args) {
				value = args[i+1]
			}
			value, _, _ = strings.Cut(value, "/") // an address or a path may follow
			if d.name == "JDWP" {
				value = jdwpAddress(value)
			}
			if at := debuggerPort(d.name, cmp.Or(value, d.usual)); at.Port != 0 {
				return at
			}
		}
	}
	return DebuggerPort{}
}

// titleWords returns the arguments of a command line. One that is a title holds them all.
func titleWords(args []string) []string {
	if len(args) == 1 {
		return strings.Fields(args[0])
	}
	return args
}

// jdwpAddress returns the address among the settings of the Java Debug Wire Protocol: "server=y,suspend=n,address=*:5005".
func jdwpAddress(settings string) string {
	for setting := range strings.SplitSeq(settings, ",") {
		if address, ok := strings.CutPrefix(setting, "address="); ok {
			return address
		}
	}
	return ""
}

// debuggerPort reads the port at the end of an address: "9229", "*:5005", "[::1]:9229". There may be none.
func debuggerPort(name, address string) DebuggerPort {
	port, err := strconv.ParseUint(address[strings.LastIndexByte(address, ':')+1:], 10, 16)
	if err != nil || port == 0 {
		return DebuggerPort{}
	}
	return DebuggerPort{name, uint16(port)}
}

// passesOn reports whether a process says nothing about what it serves: it is hidden, or holds the port for others.
func portDecides(p Process) bool {
	if p.Name == "" && p.Exe == "" || p.Forwards() || managers[p.Name] {
		return true
	}
	return relays[p.Name]
}

// runs reports whether the process runs one of the programs, whose names are separated by spaces.
func (p Process) runs(programs string) bool {
	names := p.names()
	return among(programs, names[0]) || among(programs, names[1])
}

// names returns the names that the process may be known by: its own, and that of its program.
func (p Process) names() [2]string {
	var names [2]string
	for i, name := range [2]string{p.Name, filepath.Base(p.Exe)} {
		names[i] = strings.TrimSuffix(name, ".exe")
	}
	return names
}

// A preparedKind is a line of the table that is ready to be asked about a port.
type preparedKind struct {
	serverKind
	all           bool // other ports than those below
	other, except map[uint16]bool
}

// at returns what the server serves at a port.
func (k preparedKind) at(port uint16) Serving {
	s := Serving{Risk: k.risk}
	if k.other[port] || k.all && !k.except[port] {
		s.Speaks = k.name
	}
	return s
}

// The table of kinds, by their names, programs and known ports.
var kindsByName, kindsByProgram, kindsByPort = readKinds()

// readKinds reads the table of kinds.
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

// addPorts adds a port or a range of ports. What is neither adds none; the tests find it.
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
