package port

import "net/netip"

// holders is described in holders_linux.go. On Windows connections that are over keep nobody from a port.
func holders(netip.AddrPort) (lingers, reusable bool) { return false, false }
