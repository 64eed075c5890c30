//go:build !linux && !darwin

package watcher

// newSource is described in source_linux.go.
func newSource(everywhere bool) source { return portable(everywhere) }
