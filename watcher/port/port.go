// Package port tells what a port number means: by the rules of the internet, in this system's list of services, and to this
// system when it hands out ports itself. It also tells whether a port is free, by binding it. All of it is about TCP.
package port

import (
	"fmt"
	"os"
	"runtime"
	"sync"
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

// Range returns the first and the last port of the class.
func (c Class) Range() (first, last uint16) {
	switch c {
	case WellKnown:
		return 0, firstRegistered - 1
	case Registered:
		return firstRegistered, firstDynamic - 1
	}
	return firstDynamic, 65535
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

// A Range is the ports from First to Last, both of them included.
type Range struct{ First, Last uint16 }

// Ranges are ports of which a system says the same. They are nil if it does not tell which those are, and empty if there are none.
type Ranges []Range

// Has reports whether a port is one of them, and whether that is known at all.
func (r Ranges) Has(port uint16) (yes, known bool) {
	for _, r := range r {
		if r.First <= port && port <= r.Last {
			return true, true
		}
	}
	return false, r != nil
}

// A System is what one system says about ports. The zero value says nothing.
type System struct {
	// First and Last limit the range from which the system takes a port when a program asks for any; 0 if it does not tell.
	First, Last uint16

	// Privileged are the ports that an ordinary user may not bind. On Linux they are those below
	// net.ipv4.ip_unprivileged_port_start (ip(7)), mostly 1024; on macOS those below 1024, and there a wildcard is for everybody.
	// Windows has none. What this program may do itself, System.Try tells.
	Privileged Ranges

	// Reserved are the ports that Windows keeps for a service: nobody else can bind them. Other systems have none.
	Reserved Ranges

	// Withheld are the ports that the system does not take when a program asks for any, but that a program can ask for: on Linux
	// net.ipv4.ip_local_reserved_ports, on Windows what it calls administered port exclusions. They need not lie in its range.
	Withheld Ranges

	services map[uint16]string
}

// Read asks this system. It reads some small files; on Windows it takes as long as netsh, three seconds at most.
func Read() System {
	s := System{services: readServices(servicesFile(runtime.GOOS, os.Getenv("SystemRoot")))}
	var wg sync.WaitGroup
	wg.Go(func() { s.First, s.Last, _ = Ephemeral() }) // on Windows both wait for other processes
	s.Privileged, s.Reserved, s.Withheld = limits()
	wg.Wait()
	return s
}

// Service returns the name of the service that the system's list of services, services(5), gives to a TCP port, or nothing. It
// says for which service somebody registered the port, not what listens there.
func (s System) Service(port uint16) string { return s.services[port] }

// Ephemeral reports whether a port is one that the system itself hands out: it lies in its range, and is kept out of it in no way.
func (s System) Ephemeral(port uint16) bool {
	reserved, _ := s.Reserved.Has(port)
	return s.inRange(port) && !reserved && !s.withheld(port)
}

// HandedOut reports whether a port is likely one that a program did not choose but was given when it asked for any: it is
// dynamic by RFC 6335, or lies in the range of this system, which may be another. A program may choose such a port all the same. A
// port that the system withholds can only have been chosen.
func (s System) HandedOut(port uint16) bool {
	return (ClassOf(port) == Dynamic || s.inRange(port)) && !s.withheld(port)
}

func (s System) inRange(port uint16) bool { return s.First > 0 && s.First <= port && port <= s.Last }

func (s System) withheld(port uint16) bool {
	yes, _ := s.Withheld.Has(port)
	return yes
}
