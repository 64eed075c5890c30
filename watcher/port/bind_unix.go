//go:build unix

package port

import (
	"errors"
	"os"
	"syscall"
)

// bindSocket binds a new TCP socket and closes it. A dual IPv6 socket takes IPv4 too.
func bindSocket(family int, addr syscall.Sockaddr, dual, reuse bool) error {
	syscall.ForkLock.RLock() // otherwise a process started now would inherit the socket and hold the port
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	if dual {
		// OpenBSD has no dual sockets, so this fails there. Its servers use IPv6-only sockets too.
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0)
	}
	if reuse {
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return syscall.Bind(fd, addr)
}

// stateOf returns the state for an error of bind(2).
func stateOf(err error) State {
	is := func(errno syscall.Errno) bool { return errors.Is(err, errno) }
	switch {
	case err == nil:
		return Free
	case is(syscall.EADDRINUSE):
		return InUse
	case is(syscall.EACCES) || is(syscall.EPERM):
		return NotPermitted
	case is(syscall.EADDRNOTAVAIL) || is(syscall.EAFNOSUPPORT) || is(syscall.EPROTONOSUPPORT):
		return Unavailable
	case is(syscall.ENODEV) || errors.Is(err, errNoInterface): // no interface has this zone
		return Unavailable
	}
	return Unknown
}
