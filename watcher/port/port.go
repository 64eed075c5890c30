// Package port explains port numbers: the class by RFC 6335, the name in this system's list of services, and the ports
// that this system hands out itself. It also binds a port to find out whether it is free. All of it is about TCP.
package port

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

// A Class is one of the three ranges of port numbers in RFC 6335, section 6.
type Class int

// The classes, from the lowest ports to the highest.
const (
	WellKnown  Class = iota // 0–1023, system ports: assigned after a review; most Unixes let only root listen there
	Registered              // 1024–49151, user ports: names are registered on request, but anybody may listen there
	Dynamic                 // 49152–65535, private or ephemeral ports: never registered
)

// The first ports of the upper two classes.
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

// A Range is the ports from First to Last, both included.
type Range struct{ First, Last uint16 }

// Ranges is a set of ports. It is nil if the system does not list the ports, and empty if there are none.
type Ranges []Range

// Has reports whether a port is in the set, and whether the set is known.
func (r Ranges) Has(port uint16) (yes, known bool) {
	for _, r := range r {
		if r.First <= port && port <= r.Last {
			return true, true
		}
	}
	return false, r != nil
}

// A System holds the port settings of one system. The zero value knows nothing.
type System struct {
	// First and Last are the ephemeral range: the system picks from it when a program asks for any port. They are 0 if
	// the range is not known.
	First, Last uint16

	// Privileged lists the ports that an ordinary user may not bind. Linux has the ports below
	// net.ipv4.ip_unprivileged_port_start (ip(7)), mostly 1024. macOS has the ports below 1024, but anybody may bind
	// them at a wildcard. Windows has none. System.Try finds out for this program.
	Privileged Ranges

	// Reserved lists the ports that Windows keeps for a service: nobody else can bind them. Other systems have none.
	Reserved Ranges

	// Withheld lists the ports that the system never picks itself, though a program may ask for them by number. Linux
	// has net.ipv4.ip_local_reserved_ports, Windows its administered port exclusions. They may lie outside the
	// ephemeral range.
	Withheld Ranges

	services map[uint16]string
}

// Read asks this system. It reads some small files. On Windows it runs netsh, for three seconds at most.
func Read() System {
	s := System{services: readServices(servicesFile(runtime.GOOS, os.Getenv("SystemRoot")))}
	var wg sync.WaitGroup
	wg.Go(func() { s.First, s.Last, _ = Ephemeral() }) // on Windows both wait for other processes
	s.Privileged, s.Reserved, s.Withheld = limits()
	wg.Wait()
	return s
}

// Service returns the name of a TCP port in the system's list of services, services(5), or nothing. It is the
// registered service, not the program that listens there.
func (s System) Service(port uint16) string { return s.services[port] }

// Ephemeral reports whether the system itself hands out a port: it is in the range, and neither reserved nor withheld.
func (s System) Ephemeral(port uint16) bool {
	reserved, _ := s.Reserved.Has(port)
	return s.inRange(port) && !reserved && !s.withheld(port)
}

// HandedOut reports whether a program likely did not choose a port but asked for any. Such a port is dynamic by RFC
// 6335 or in this system's own range. A program may still have chosen it. A withheld port was always chosen.
func (s System) HandedOut(port uint16) bool {
	return (ClassOf(port) == Dynamic || s.inRange(port)) && !s.withheld(port)
}

func (s System) inRange(port uint16) bool { return s.First > 0 && s.First <= port && port <= s.Last }

func (s System) withheld(port uint16) bool {
	yes, _ := s.Withheld.Has(port)
	return yes
}
