// Package port tells what a port number means: by the rules of the internet, in this system's list of services, and to this
// system when it hands out ports itself. All of it is about TCP.
package port

import (
	"fmt"
	"os"
	"runtime"
)

// A Class is one of the three ranges that RFC 6335, section 6, divides port numbers into.
type Class int

// The classes, from the lowest ports to the highest.
const (
	WellKnown  Class = iota // 0–1023, which the RFC calls system ports: given out by review; most Unixes let only root listen there
	Registered              // 1024–49151, or user ports: names are registered on request, but anybody may listen there
	Dynamic                 // 49152–65535, or private and ephemeral ports: never registered
)

// The first ports of the classes above the lowest.
const (
	firstRegistered = 1024
	firstDynamic    = 49152
)

// ClassOf returns the class of a port.
func ClassOf(port uint16) Class {
	switch {
	case port < firstRegistered:
		return WellKnown
	case port < firstDynamic:
		return Registered
	}
	return Dynamic
}

// String returns the name of the class: "well-known", "registered" or "dynamic".
func (c Class) String() string {
	switch c {
	case WellKnown:
		return "well-known"
	case Registered:
		return "registered"
	case Dynamic:
		return "dynamic"
	}
	return fmt.Sprintf("Class(%d)", int(c))
}

// A System is what one system says about ports. The zero value says nothing.
type System struct {
	// First and Last limit the range from which the system takes a port when a program asks for any; 0 if it does not tell.
	First, Last uint16

	services map[uint16]string
}

// Read asks this system. It reads two small files; on Windows it takes as long as netsh, three seconds at most.
func Read() System {
	s := System{services: readServices(servicesFile(runtime.GOOS, os.Getenv("SystemRoot")))}
	s.First, s.Last, _ = Ephemeral()
	return s
}

// Service returns the name of the service that the system's list of services, services(5), gives to a TCP port, or nothing. It
// says for which service somebody registered the port, not what listens there.
func (s System) Service(port uint16) string { return s.services[port] }

// Ephemeral reports whether a port lies in the system's own range.
func (s System) Ephemeral(port uint16) bool { return s.First > 0 && s.First <= port && port <= s.Last }

// HandedOut reports whether a port is likely one that a program did not choose but was given when it asked for any: it is
// dynamic by RFC 6335, or lies in the range of this system, which may be another. A program may choose such a port all the same.
func (s System) HandedOut(port uint16) bool { return ClassOf(port) == Dynamic || s.Ephemeral(port) }
