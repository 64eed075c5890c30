//go:build !linux

package watcher

import "context"

// readEnds is described in traffic_linux.go.
func readEnds(ctx context.Context, port uint16) ([]end, error) { return portableEnds(ctx, port) }
