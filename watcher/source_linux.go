package watcher

// newSource returns the quickest scan that works here: on Linux the kernel's, otherwise the portable one. It lists
// sockets that are reachable over loopback or, with everywhere, on any interface.
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
