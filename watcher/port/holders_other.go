//go:build unix && !linux

package port

import (
	"net"
	"net/netip"
)

// holders is described in holders_linux.go. With SO_REUSEADDR, BSD systems and macOS check only unconnected sockets at
// exactly the same address (in_pcbbind in their kernels). If bind succeeds with that option at every conflicting
// address, only connections hold the port. holders does not check link-local addresses.
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

// ownAddresses returns the addresses of this machine without link-local ones.
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
