package watcher

// newSource returns the quickest scan that works on this system. On Linux that asks the kernel itself; elsewhere, and where that
// is not possible, it is the portable one.
func newSource() source {
	fast, err := newFastScanner()
	if err != nil {
		return portable()
	}
	return source{scan: fast.scan, wake: fast.wake(), close: fast.close}
}
