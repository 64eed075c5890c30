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

// A State is what came of an attempt to bind a port at an address.
type State int

// The states. What is said of an address holds for that address: another one may be free while this one is in use.
const (
	Unknown      State = iota // the attempt says nothing about the port; its error tells why
	Free                      // it could be bound
	Lingering                 // connections hold it that no program has open any more: mostly in TIME_WAIT, for a minute at most on Linux
	InUse                     // a socket is bound to it: it listens there, is connected, or may do either at any time
	NotPermitted              // the system does not let this user, or this program, bind it
	Reserved                  // Windows keeps it for a service
	Unavailable               // this machine does not have the address, or the address family
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
	Addr  netip.AddrPort // what was bound; an IPv4 address that was given in IPv6 form (::ffff:127.0.0.1) is one of IPv4 here
	State State

	// Reusable reports whether a program that sets SO_REUSEADDR, as most servers on Unix do, could bind a port that is lingering or
	// in use all the same. It is never true on Windows, where that option takes a port away from its holder.
	Reusable bool

	Err error // why the port could not be bound; nil if it is free
}

// Try binds a port at an address and closes the socket at once. It takes microseconds when the port is free, and some milliseconds
// on Linux when it is not, because it then reads the list of connections (proc_net(5)); it does not block. Like that of servers,
// the socket at :: takes IPv4 too, if the system has such sockets.
//
// The socket never listens, so that nobody can connect to it and no list of listeners has it. In the microseconds for which it is
// bound, it keeps others from the port as any other does.
//
// On Linux a port is lingering if each connection that holds it is without a program. Whether it is then Reusable depends on the
// program that had it: with SO_REUSEADDR on its own socket it is. A socket that is bound but does not listen is in no list, and is
// told from the absence of connections. Other Unixes do not tell whether a program still has the connections; there, a port is
// lingering if nothing but connections holds it, and Reusable also means that a program could bind this address beside another one
// that has the wildcard, or the other way round.
//
// On Windows the socket has SO_EXCLUSIVEADDRUSE. A port can be free at one address there although another program of the same user
// listens at the wildcard: whoever binds it takes that address over. System.Reserved tells apart what Windows answers alike, and if
// that is not known, all of it is NotPermitted.
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

// accessDenied returns what Windows means by WSAEACCES. It has no privileged ports, and gives that answer when the port is kept for a
// service, and also when the socket of another user, or one with SO_EXCLUSIVEADDRUSE, is in the way ("Using SO_REUSEADDR and
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

// anywhere is where a server may bind that is to be reached as localhost. The first conflicts with the most.
var anywhere = [...]netip.Addr{
	netip.IPv6Unspecified(), netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback(),
}

// InUse reports whether a socket is bound to a port where a server may want it: at 127.0.0.1, ::1 or a wildcard. A lingering port is not
// in use, and of one that this user may not bind it cannot be told. It takes as long as four calls of Try.
func (s System) InUse(port uint16) bool {
	return slices.ContainsFunc(anywhere[:], func(addr netip.Addr) bool { return s.Try(netip.AddrPortFrom(addr, port)).State == InUse })
}

// FreeFrom returns the first ports not below from that can be bound now at 127.0.0.1, at ::1 and at both wildcards, by any program
// that may do what this one may. An address or a family that this machine does not have is no obstacle. A lingering port is not
// among them, because not every program can bind it. They are in ascending order, count at most; fewer if there are no more of
// them up to 65535.
//
// A free port takes about 30 µs on Linux, one that is not a third of that. The ports may be taken as soon as they are returned. An
// error says why it could not be tried whether a port is free, such as too many open files; with it come the ports found below.
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

// freeAnywhere reports whether a port is free wherever this machine has an address to bind it at.
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

// bind binds a new TCP socket to an address and a port and closes it. With reuse it sets SO_REUSEADDR, which it never does on
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

// errNoZone is what the system means by "invalid argument".
var errNoZone = errors.New("a link-local address needs its interface, like fe80::1%eth0")

// errNoInterface says that the zone of an address names no interface of this machine.
var errNoInterface = errors.New("no such interface")

// socketAddress returns the form in which the system takes an address and a port.
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

// zoneID returns the index of the interface that a zone stands for: its name or that index itself (RFC 4007, section 11.2).
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

// neighbours returns where else a socket can be bound that is in the way of one at an address, if the system goes by addresses: at
// the wildcards, and if the address is one, at each of the machine's own addresses that it stands for.
func neighbours(at netip.AddrPort, own []netip.Addr) []netip.AddrPort {
	addr := at.Addr()
	addrs := []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()}
	if addr.IsUnspecified() {
		addrs = append(addrs, own...)
	}
	var result []netip.AddrPort
	for _, other := range addrs {
		// A socket at :: and one of IPv4 can be in each other's way.
		if other != addr && (addr.Is4() == other.Is4() || addr == netip.IPv6Unspecified() || other == netip.IPv6Unspecified()) {
			result = append(result, netip.AddrPortFrom(other, at.Port()))
		}
	}
	return result
}
