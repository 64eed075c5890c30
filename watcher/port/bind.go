package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"syscall"
)

// A State is the result of an attempt to bind a port at an address.
type State int

// The states. A state is for one address: the port may be free at another.
const (
	Unknown      State = iota // the attempt tells nothing about the port; its error has the cause
	Free                      // bind succeeded
	Lingering                 // closed connections hold it: mostly in TIME_WAIT, for a minute at most on Linux
	InUse                     // a socket is bound to it: it listens, is connected, or may do either at any time
	NotPermitted              // the system forbids this user, or this program, to bind it
	Reserved                  // Windows keeps it for a service
	Unavailable               // this machine lacks the address, or the address family
)

// String returns the state in plain words, like "in use".
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Free:
		return "free"
	case Lingering:
		return "lingering"
	case InUse:
		return "in use"
	case NotPermitted:
		return "not permitted"
	case Reserved:
		return "reserved"
	case Unavailable:
		return "unavailable"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// An Attempt is one attempt to bind a port at an address.
type Attempt struct {
	Addr  netip.AddrPort // the address tried; an IPv4 address in IPv6 form (::ffff:127.0.0.1) becomes plain IPv4
	State State

	// Reusable reports whether a program could bind a lingering or used port if it sets SO_REUSEADDR, as most servers
	// on Unix do. It is never true on Windows: that option takes a port away from its holder there.
	Reusable bool

	Err error // the cause if bind failed; nil if the port is free
}

// Try binds a port at an address and closes the socket at once. It takes microseconds if the port is free. If it is
// not, Linux takes some milliseconds: Try then reads the list of connections (proc_net(5)). It does not block. The
// socket at :: takes IPv4 too if the system has dual sockets, like the sockets of servers.
//
// The socket never listens: nobody can connect to it, and no list of listeners shows it. It blocks the port for others
// for some microseconds.
//
// On Linux a port is lingering if no program has a connection on it open. It is then Reusable if the program that had
// it set SO_REUSEADDR on its own socket. No list shows a socket that is bound but does not listen. If nothing else
// explains why bind failed, the port is in use. Other Unixes do not show whether a program still has a connection open.
// There a port is lingering if only connections hold it. Reusable there also means that a program could bind this
// address while another program has the wildcard, or the other way round.
//
// On Windows the socket has SO_EXCLUSIVEADDRUSE. There a port can be free at one address while another program of the
// same user listens at the wildcard. A new program then takes over that address. Windows gives one error for Reserved,
// InUse and NotPermitted. System.Reserved tells them apart; if it is not known, the state is NotPermitted.
func (s System) Try(at netip.AddrPort) Attempt {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	err := bind(at, false)
	a := Attempt{Addr: at, State: stateOf(err), Err: err}
	if a.State == NotPermitted && runtime.GOOS == "windows" {
		a.State = s.accessDenied(at.Port())
	}
	if a.State == InUse {
		var lingers bool
		if lingers, a.Reusable = holders(at); lingers {
			a.State = Lingering
		}
	}
	return a
}

// accessDenied returns the state for WSAEACCES. Windows has no privileged ports. It returns that error if it keeps the
// port for a service, or if another user's socket or one with SO_EXCLUSIVEADDRUSE holds it ("Using SO_REUSEADDR and
// SO_EXCLUSIVEADDRUSE" in Microsoft's Winsock documentation).
func (s System) accessDenied(port uint16) State {
	reserved, known := s.Reserved.Has(port)
	switch {
	case reserved:
		return Reserved
	case known:
		return InUse
	}
	return NotPermitted
}

// anywhere lists the usual bind addresses of a server on localhost. The first conflicts with the most.
var anywhere = [...]netip.Addr{
	netip.IPv6Unspecified(), netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback(),
}

// InUse reports whether a socket is bound to a port at 127.0.0.1, ::1 or a wildcard. It returns false for a lingering
// port, and for a port that this user may not bind. It takes as long as four calls of Try.
func (s System) InUse(port uint16) bool {
	return slices.ContainsFunc(anywhere[:], func(addr netip.Addr) bool {
		return s.Try(netip.AddrPortFrom(addr, port)).State == InUse
	})
}

// FreeFrom returns the first free ports from a number upward, at most count, in ascending order. A program with the
// rights of this one can bind them now at 127.0.0.1, at ::1 and at both wildcards. FreeFrom ignores an address or a
// family that this machine lacks. It leaves out lingering ports, because not every program can bind them. It returns
// fewer ports if it reaches 65535.
//
// On Linux a free port takes about 30 µs, another port a third of that. A program may take a port as soon as FreeFrom
// returns it. An error means that FreeFrom could not try a port, for example because too many files are open. It then
// also returns the ports found so far.
func FreeFrom(from uint16, count int) ([]uint16, error) {
	var ports []uint16
	for p := max(int(from), 1); p <= 65535 && len(ports) < count; p++ {
		free, err := freeAnywhere(uint16(p))
		if err != nil {
			return ports, fmt.Errorf("look for free ports: %w", err)
		}
		if free {
			ports = append(ports, uint16(p))
		}
	}
	return ports, nil
}

// freeAnywhere reports whether a port is free at each address in anywhere that this machine has.
func freeAnywhere(port uint16) (free bool, err error) {
	for _, addr := range anywhere {
		err := bind(netip.AddrPortFrom(addr, port), false)
		switch stateOf(err) {
		case Free:
			free = true
		case Unavailable:
		case Unknown:
			return false, err
		default:
			return false, nil
		}
	}
	return free, nil
}

// bind binds a new TCP socket to an address and a port and closes it. With reuse it sets SO_REUSEADDR, except on
// Windows.
func bind(at netip.AddrPort, reuse bool) error {
	family, addr, err := socketAddress(at)
	if err == nil {
		err = bindSocket(family, addr, at.Addr() == netip.IPv6Unspecified(), reuse)
	}
	if err != nil {
		return fmt.Errorf("bind %s: %w", at, err)
	}
	return nil
}

// errNoZone replaces the system's "invalid argument".
var errNoZone = errors.New("a link-local address needs its interface, like fe80::1%eth0")

// errNoInterface means that no interface of this machine has the zone of an address.
var errNoInterface = errors.New("no such interface")

// socketAddress converts an address and a port for the system.
func socketAddress(at netip.AddrPort) (family int, addr syscall.Sockaddr, err error) {
	switch ip := at.Addr(); {
	case !ip.IsValid():
		return 0, nil, errors.New("there is no address")
	case at.Port() == 0: // the system would pick a port
		return 0, nil, errors.New("a port is a number from 1 to 65535")
	case ip.Is4():
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(at.Port()), Addr: ip.As4()}, nil
	case ip.Zone() == "" && (ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast()):
		return 0, nil, errNoZone
	default:
		zone, err := zoneID(ip.Zone())
		return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(at.Port()), Addr: ip.As16(), ZoneId: zone}, err
	}
}

// zoneID returns the interface index for a zone. The zone is the interface's name or the index itself (RFC 4007,
// section 11.2).
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index), nil
	}
	id, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0, errNoInterface
	}
	return uint32(id), nil
}

// neighbours returns the other addresses with possible conflicting sockets, on a system that compares addresses. They
// are the wildcards, and for a wildcard also this machine's own addresses that it covers.
func neighbours(at netip.AddrPort, own []netip.Addr) []netip.AddrPort {
	addr := at.Addr()
	addrs := []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()}
	if addr.IsUnspecified() {
		addrs = append(addrs, own...)
	}
	var result []netip.AddrPort
	for _, other := range addrs {
		// A socket at :: and an IPv4 socket can conflict.
		dual := addr == netip.IPv6Unspecified() || other == netip.IPv6Unspecified()
		if other != addr && (addr.Is4() == other.Is4() || dual) {
			result = append(result, netip.AddrPortFrom(other, at.Port()))
		}
	}
	return result
}
