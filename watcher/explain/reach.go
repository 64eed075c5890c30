package explain

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"porttray/watcher"
	"porttray/watcher/server"
)

// connectLimit is the time limit for a connection inside this computer. The system repeats a dropped request only after
// a second, so a longer limit would not help.
const connectLimit = time.Second

// connect tries to connect to each of the targets at the same time.
func (a *Answer) connect(ctx context.Context, number uint16) {
	targets := a.targets()
	a.Connects = make([]Connect, len(targets))
	var wg sync.WaitGroup
	for i, addr := range targets {
		wg.Go(func() {
			a.Connects[i] = connectTo(ctx, netip.AddrPortFrom(addr, number))
			a.Connects[i].Listens = a.listensAt(addr)
		})
	}
	wg.Wait()
}

// connectTo connects and closes the connection again.
func connectTo(ctx context.Context, to netip.AddrPort) Connect {
	c := Connect{Address: to.Addr()}
	conn, err := (&net.Dialer{Timeout: connectLimit}).DialContext(ctx, "tcp", to.String())
	if err == nil {
		closeCleanly(conn.(*net.TCPConn))
	}
	var timeout net.Error
	switch {
	case err == nil:
		c.Result = Accepted
	case errors.As(err, &timeout) && timeout.Timeout():
		c.Result = NoAnswer
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, wsaConnRefused):
		c.Result = Refused
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETUNREACH),
		errors.Is(err, syscall.EAFNOSUPPORT),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, wsaAddrNotAvail), errors.Is(err, wsaNetUnreach):
		c.Result = Unreachable
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, wsaAccess):
		c.Result = Forbidden
	default:
		c.Result, c.Error = Unreachable, reason(err)
	}
	return c
}

// closeCleanly closes its own direction first, and gives the server closeTimeout to close in turn. A server that writes
// to a reset connection gets an error. Some servers end on that error, such as a net.Server of Node.js without an error
// listener. The connection lingers (TIME_WAIT) on the local port of this end, not on the server's port.
func closeCleanly(conn *net.TCPConn) {
	defer conn.Close()
	if conn.CloseWrite() == nil && conn.SetReadDeadline(time.Now().Add(closeTimeout)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxDrain)) // the data and the error do not matter
	}
}

const (
	closeTimeout = 50 * time.Millisecond
	maxDrain     = 1 << 20 // bytes
)

// Windows Sockets error codes of a connection. On Windows, package syscall has other numbers for these errors.
const (
	wsaAccess       syscall.Errno = 10013
	wsaAddrNotAvail syscall.Errno = 10049
	wsaNetUnreach   syscall.Errno = 10051
	wsaConnRefused  syscall.Errno = 10061
)

// reason returns the innermost cause of err.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// judgeReach fills in the addresses for other machines, and the risk. It lists link-local addresses only if there are
// no others, because each bridge of a container engine has one.
func (a *Answer) judgeReach(own []Interface) {
	var linkLocal []Interface
	for _, i := range own {
		exposed := slices.ContainsFunc(a.servers, func(l server.Listener) bool {
			return l.Exposed() && a.covers(l, i.Address)
		})
		switch {
		case !exposed:
		case i.Address.IsLinkLocalUnicast():
			linkLocal = append(linkLocal, i)
		case !slices.Contains(a.Reachable, i):
			a.Reachable = append(a.Reachable, i)
		}
	}
	if len(a.Reachable) == 0 {
		a.Reachable = linkLocal
	}
	for _, l := range a.servers {
		if l.Exposed() {
			a.Risk = cmp.Or(a.Risk, l.Risk())
		}
	}
}

// queueOf returns the fullest queue among the sockets of a listener.
func queueOf(l server.Listener, t watcher.Traffic) *Queue {
	var fullest *Queue
	for _, q := range t.Queues {
		if q.Capacity == 0 || !slices.Contains(l.Addrs, q.Addr) {
			continue
		}
		queue := &Queue{Waiting: q.Waiting, Limit: q.Capacity, Full: q.Full()}
		if fullest == nil || queue.Full && !fullest.Full ||
			queue.Full == fullest.Full && queue.Waiting > fullest.Waiting {
			fullest = queue
		}
	}
	return fullest
}
