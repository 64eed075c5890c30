package port

import "sync"

// limits is described in limits_linux.go. Windows tells its exclusions through no documented call of the system, so netsh is asked
// at each call: by default it has one list for IPv4 and IPv6, but it shows them separately.
func limits() (privileged, reserved, withheld Ranges) {
	var reserved6, withheld6 Ranges
	var wg sync.WaitGroup
	wg.Go(func() { reserved6, withheld6 = parseExcluded(askNetsh("ipv6", "show", "excludedportrange", "tcp")) })
	reserved, withheld = parseExcluded(askNetsh("ipv4", "show", "excludedportrange", "tcp"))
	wg.Wait()
	return Ranges{}, merge(reserved, reserved6), merge(withheld, withheld6)
}
