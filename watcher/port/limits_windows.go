package port

import "sync"

// limits is described in limits_linux.go. Windows documents no system call for its exclusions, so limits runs netsh at
// each call. By default IPv4 and IPv6 share one list, but netsh shows two.
func limits() (privileged, reserved, withheld Ranges) {
	var reserved6, withheld6 Ranges
	var wg sync.WaitGroup
	wg.Go(func() { reserved6, withheld6 = parseExcluded(askNetsh("ipv6", "show", "excludedportrange", "tcp")) })
	reserved, withheld = parseExcluded(askNetsh("ipv4", "show", "excludedportrange", "tcp"))
	wg.Wait()
	return Ranges{}, merge(reserved, reserved6), merge(withheld, withheld6)
}
