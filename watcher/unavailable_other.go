//go:build !windows

package watcher

import (
	"errors"
	"syscall"
)

// unavailable reports whether nobody can listen on an address, or on its address family, by the error that listening there gives.
func unavailable(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}
