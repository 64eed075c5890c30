//go:build unix && !linux

package port

import (
	"net"
	"net/netip"
)

// holders is described in holders_linux.go. With SO_REUSEADDR, the systems that descend from BSD, macOS among them, look at nothing
// but sockets without a connection at exactly the same address (in_pcbbind in their kernels). So a port that can be bound like that
// at all addresses that are in the way is held by connections. Of addresses that belong to one link only, nothing is known.
func holders(at netip.AddrPort) (lingers, reusable bool) {
	reusable = bind(at, true) == nil
	own, err := ownAddresses()
	if err != nil || !reusable {
		return false, reusable
	}
	for _, at := range neighbours(at, own) {
		if state := stateOf(bind(at, true)); state != Free && state != Unavailable {
			return false, true
		}
	}
	return true, true
}

// ownAddresses returns the addresses of this machine, without those that belong to one link only.
func ownAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	for _, a := range list {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && !prefix.Addr().IsLinkLocalUnicast() {
			own = append(own, prefix.Addr().Unmap())
		}
	}
	return own, nil
}
