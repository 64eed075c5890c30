//go:build !windows

package watcher

// wine is described in wine_windows_test.go.
func wine() bool { return false }
