package port

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// Constants of winsock2.h and winerror.h that syscall lacks.
const (
	exclusiveAddrUse = ^syscall.SO_REUSEADDR // SO_EXCLUSIVEADDRUSE

	errProtocolNotSupported = syscall.Errno(10043) // WSAEPROTONOSUPPORT
	errFamilyNotSupported   = syscall.Errno(10047) // WSAEAFNOSUPPORT
	errAddrInUse            = syscall.Errno(10048) // WSAEADDRINUSE
	errAddrNotAvailable     = syscall.Errno(10049) // WSAEADDRNOTAVAIL
)

// startWinsock starts Winsock. Windows needs it before the first socket.
var startWinsock = sync.OnceValue(func() error {
	var data syscall.WSAData
	return os.NewSyscallError("WSAStartup", syscall.WSAStartup(0x0202, &data))
})

// bindSocket is described in bind_unix.go. It ignores reuse: SO_REUSEADDR would take the port away from its holder.
func bindSocket(family int, addr syscall.Sockaddr, dual, _ bool) error {
	if err := startWinsock(); err != nil {
		return err
	}
	syscall.ForkLock.RLock()
	s, err := syscall.Socket(family, syscall.SOCK_STREAM, syscall.IPPROTO_TCP)
	if err == nil {
		syscall.CloseOnExec(s)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Closesocket(s)
	if dual {
		// Without IPv4 this fails. Servers use IPv6-only sockets there too.
		_ = syscall.SetsockoptInt(s, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 0)
	}
	if err := syscall.SetsockoptInt(s, syscall.SOL_SOCKET, exclusiveAddrUse, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return syscall.Bind(s, addr)
}

// stateOf is described in bind_unix.go. The meaning of WSAEACCES depends on the port: see System.accessDenied.
func stateOf(err error) State {
	is := func(errno syscall.Errno) bool { return errors.Is(err, errno) }
	switch {
	case err == nil:
		return Free
	case is(errAddrInUse):
		return InUse
	case is(syscall.WSAEACCES):
		return NotPermitted
	case is(errAddrNotAvailable) || is(errFamilyNotSupported) || is(errProtocolNotSupported),
		errors.Is(err, errNoInterface):
		return Unavailable
	}
	return Unknown
}
