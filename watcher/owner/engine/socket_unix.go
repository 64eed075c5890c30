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

// distinct returns those of the sockets that exist, each once and by the path where it really is. On Windows, where looking at
// a pipe means to connect to it, only the names are compared.
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

// dialSocket connects to an engine's socket, if it belongs to the system or to this user: another user's could tell anything.
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
