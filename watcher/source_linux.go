package watcher

// newSource returns the quickest scan that works on this system. On Linux that asks the kernel itself; elsewhere, and where that
// is not possible, it is the portable one. It lists what is reachable over loopback or, with everywhere, what listens on other
// interfaces as well.
func newSource(everywhere bool) source {
	fast, err := newFastScanner()
	if err != nil {
		src := portable(everywhere)
		src.detour = err
		return src
	}
	fast.everywhere = everywhere
	return source{scan: fast.scan, wake: fast.wake(), close: fast.close, detour: fast.how.detour}
}
