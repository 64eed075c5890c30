package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/windows"
)

// distinct is described in socket_unix.go.
func distinct(sockets []string) []string {
	var found []string
	for _, socket := range sockets {
		if !slices.ContainsFunc(found, func(seen string) bool { return strings.EqualFold(seen, socket) }) {
			found = append(found, socket)
		}
	}
	return found
}

// dialSocket is described in socket_unix.go. Here the socket is a named pipe.
func dialSocket(ctx context.Context, socket string) (net.Conn, error) {
	name, err := windows.UTF16PtrFromString(socket)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", socket, err)
	}
	for {
		// Without the last two flags, the pipe's server could act as this user.
		h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING,
			windows.FILE_FLAG_OVERLAPPED|windows.SECURITY_SQOS_PRESENT|windows.SECURITY_ANONYMOUS, 0)
		if err == nil {
			return newPipe(h, socket)
		}
		if !errors.Is(err, windows.ERROR_PIPE_BUSY) {
			return nil, fmt.Errorf("open %q: %w", socket, err)
		}
		// The server has no free instance of the pipe yet.
		if !sleep(ctx, 10*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// newPipe makes a connection from an open pipe. It closes the pipe if it is not trustworthy.
func newPipe(h windows.Handle, socket string) (net.Conn, error) {
	if err := trust(h); err != nil {
		windows.CloseHandle(h)
		return nil, fmt.Errorf("open %q: %w", socket, err)
	}
	return pipe{os.NewFile(uintptr(h), socket)}, nil
}

// trust returns nil if the pipe belongs to the system, its administrators or this user.
func trust(h windows.Handle) error {
	sd, err := windows.GetSecurityInfo(h, windows.SE_KERNEL_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("owner of the pipe: %w", err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("owner of the pipe: %w", err)
	}
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("this user: %w", err)
	}
	if owner.IsWellKnown(windows.WinLocalSystemSid) || owner.IsWellKnown(windows.WinBuiltinAdministratorsSid) ||
		owner.Equals(me.User.Sid) {
		return nil
	}
	return errForeign
}

// A pipe is an open named pipe as a connection.
type pipe struct{ *os.File }

func (p pipe) LocalAddr() net.Addr  { return pipeAddr(p.Name()) }
func (p pipe) RemoteAddr() net.Addr { return pipeAddr(p.Name()) }

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }
