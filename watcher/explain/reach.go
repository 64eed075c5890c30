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
)

// connectLimit is how long a connection may take that goes nowhere but to this computer. A request that is dropped is sent again
// after a second, so that nothing comes later than that which did not come before.
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
		leave(conn.(*net.TCPConn))
	}
	var timeout net.Error
	switch {
	case err == nil:
		c.Result = Accepted
	case errors.As(err, &timeout) && timeout.Timeout():
		c.Result = NoAnswer
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET), errors.Is(err, wsaConnRefused):
		c.Result = Refused
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EAFNOSUPPORT),
		errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, wsaAddrNotAvail), errors.Is(err, wsaNetUnreach):
		c.Result = Unreachable
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES), errors.Is(err, wsaAccess):
		c.Result = Forbidden
	default:
		c.Result, c.Error = Unreachable, reason(err)
	}
	return c
}

// leave closes a connection in good order: a server that writes to one that was reset, or closed under its hands, gets an error, and
// quite a few end by one (a net.Server of Node.js without a listener for errors does). So it is told first that nothing comes, and
// has farewell to finish. The connection that then lingers (TIME_WAIT) has its port at this end, not the server's.
func leave(conn *net.TCPConn) {
	defer conn.Close()
	if conn.CloseWrite() == nil && conn.SetReadDeadline(time.Now().Add(farewell)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxFarewell)) // whatever it says is not looked at
	}
}

const (
	farewell    = 50 * time.Millisecond
	maxFarewell = 1 << 20 // bytes
)

// What Windows says of a connection (Windows Sockets error codes); package syscall has its own numbers for these there.
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

// judgeReach tells from where other machines may reach the port, and what is at stake. Link-local addresses, of which each bridge of a
// container engine has one, are told where there is no other.
func (a *Answer) judgeReach(own []Interface) {
	var near []Interface
	for _, i := range own {
		exposed := slices.ContainsFunc(a.servers, func(l watcher.Listener) bool { return l.Exposed() && a.covers(l, i.Address) })
		switch {
		case !exposed:
		case i.Address.IsLinkLocalUnicast():
			near = append(near, i)
		case !slices.Contains(a.Reachable, i):
			a.Reachable = append(a.Reachable, i)
		}
	}
	if len(a.Reachable) == 0 {
		a.Reachable = near
	}
	for _, l := range a.servers {
		if l.Exposed() {
			a.Risk = cmp.Or(a.Risk, l.Risk())
		}
	}
}

// queueOf returns how many connections wait for a listener, that of its sockets where most do for their limit.
func queueOf(l watcher.Listener, t watcher.Traffic) *Queue {
	var fullest *Queue
	for _, q := range t.Queues {
		if q.Capacity == 0 || !slices.Contains(l.Addrs, q.Addr) {
			continue
		}
		queue := &Queue{Waiting: q.Waiting, Limit: q.Capacity, Full: q.Full()}
		if fullest == nil || queue.Full && !fullest.Full || queue.Full == fullest.Full && queue.Waiting > fullest.Waiting {
			fullest = queue
		}
	}
	return fullest
}
