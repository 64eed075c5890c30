//go:build !windows

package watcher

import (
	"errors"
	"syscall"
)

// unavailable reports whether a listen error means that the address or its address family does not exist here.
func unavailable(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)
}
