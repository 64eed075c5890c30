//go:build !linux && !darwin

package watcher

// scanners is described in scanners_linux_test.go.
func scanners() map[string]func() *scanner {
	return map[string]func() *scanner{"gopsutil": newScanner}
}
