//go:build unix

package engine

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// distinct returns the existing sockets, each once and with its real path. On Windows it compares only the names,
// because checking a pipe means connecting to it.
func distinct(sockets []string) []string {
	var found []string
	var infos []os.FileInfo
	for _, socket := range sockets {
		real, err := filepath.EvalSymlinks(socket)
		if err != nil {
			continue
		}
		info, err := os.Stat(real)
		if err != nil || info.Mode().Type() != os.ModeSocket {
			continue
		}
		if slices.ContainsFunc(infos, func(seen os.FileInfo) bool { return os.SameFile(seen, info) }) {
			continue
		}
		found, infos = append(found, real), append(infos, info)
	}
	return found
}

// dialSocket connects to an engine's socket. It rejects another user's socket, because that user could answer anything.
func dialSocket(ctx context.Context, socket string) (net.Conn, error) {
	info, err := os.Stat(socket)
	if err != nil {
		return nil, err
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != 0 && owner != os.Geteuid() {
		return nil, errForeign
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}
