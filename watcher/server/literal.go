package server

import (
	"net/netip"
	"slices"
)

// Literal returns an address of this computer that leads to s and to no other of the servers. It is for servers that
// share a port: a browser may connect localhost to the other one. It is invalid if there is no such address.
func (s Server) Literal(servers []Server) netip.Addr {
	v4, spare := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.AddrFrom4([4]byte{127, 0, 0, 2})
	candidates := slices.DeleteFunc(slices.Clone(s.Addrs), netip.Addr.IsUnspecified)
	slices.SortStableFunc(candidates, func(a, b netip.Addr) int { return rankOf(a) - rankOf(b) })
	if slices.Contains(s.Addrs, netip.IPv4Unspecified()) {
		candidates = append(candidates, v4, spare)
	}
	if slices.Contains(s.Addrs, netip.IPv6Unspecified()) {
		candidates = append(candidates, netip.IPv6Loopback())
	}
	for _, at := range candidates {
		if !slices.ContainsFunc(servers, func(o Server) bool {
			return o.ID() != s.ID() && o.Port == s.Port && o.takes(at, s)
		}) {
			return at
		}
	}
	return netip.Addr{}
}

// rankOf sorts loopback addresses first, because they work without a network.
func rankOf(a netip.Addr) int {
	if a.IsLoopback() {
		return 0
	}
	return 1
}

// takes reports whether a connection to an address may reach o and not s. An exact bind goes before a wildcard.
func (o Server) takes(at netip.Addr, s Server) bool {
	return slices.Contains(o.Addrs, at) || o.TakesAll(at) && !slices.Contains(s.Addrs, at)
}

// TakesAll reports whether l is bound to all addresses of the family of at.
func (l Listener) TakesAll(at netip.Addr) bool {
	all := netip.IPv4Unspecified()
	if at.Is6() {
		all = netip.IPv6Unspecified()
	}
	return slices.Contains(l.Addrs, all)
}
