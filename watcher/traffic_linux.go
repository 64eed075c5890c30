package watcher

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/owner"
)

// readEnds returns the sockets at a port, each once. It finds the owners of the sockets that ownersWanted returns. It
// looks only at the network namespace of this program.
func readEnds(ctx context.Context, port uint16) ([]end, error) {
	sockets, err := socketsAt(port)
	if err != nil {
		return nil, err
	}
	ends := make([]end, len(sockets))
	for i, so := range sockets {
		ends[i] = so.end()
	}
	findOwners(ctx, ends, sockets)
	return ends, nil
}

// findOwners fills in the owners. It searches the processes in the order of a scan, and stops when all are found.
func findOwners(ctx context.Context, ends []end, sockets []inetSocket) {
	s := &fastScanner{fs: newProcfs(), owners: map[int32]*program{}}
	s.search.fs = s.fs
	wanted := ownersWanted(ends)
	for _, i := range wanted {
		s.order = append(s.order, &sock{row: sockets[i].row})
	}
	s.attribute(ctx, time.Now())
	me := uint32(os.Geteuid())
	for n, i := range wanted {
		ends[i].owner = owner.Process{Foreign: sockets[i].uid != me}
		if p := s.order[n].owner; p != nil {
			ends[i].owner = p.Process
		}
	}
}

// An inetSocket is a socket in any state, as the kernel lists it.
type inetSocket struct {
	row
	protocol uint8 // unix.IPPROTO_TCP or IPPROTO_UDP
	state    uint8
	remote   netip.AddrPort // unmapped; port 0 if it is not connected
	// For a listening TCP socket: the length of its queue, and the longest that is not full. For others: bytes.
	waiting, limit uint32
	limited        bool // the list has the limit
}

// The relevant states of sockets, besides tcpListen. UDP sockets are established or closed.
const (
	tcpEstablished   = 1 // enum in net/tcp_states.h
	tcpSynSent       = 2
	tcpFinWait1      = 4
	tcpFinWait2      = 5
	tcpTimeWait      = 6
	tcpClose         = 7
	tcpCloseWait     = 8
	tcpLastAck       = 9
	tcpClosing       = 11
	tcpBoundInactive = 13 // only in questions: the answer has tcpClose

	trafficStates = 1<<tcpEstablished | 1<<tcpSynSent | 1<<tcpFinWait1 | 1<<tcpFinWait2 | 1<<tcpTimeWait | 1<<tcpClose |
		1<<tcpCloseWait | 1<<tcpLastAck | 1<<tcpListen | 1<<tcpClosing | 1<<tcpBoundInactive
)

// socketsAt lists the TCP and UDP sockets at a port, each once.
func socketsAt(port uint16) ([]inetSocket, error) {
	d, err := openDiag()
	if err == nil {
		defer d.close()
	}
	var all []inetSocket
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		sockets, err := socketsOf(protocol, port, d)
		if err != nil {
			return nil, err
		}
		all = append(all, sockets...)
	}
	return distinct(all), nil
}

// socketsOf lists the sockets of a protocol at a port. It asks sock_diag. If that is nil or fails, it reads /proc/net:
// a kernel can support one protocol and not the other.
func socketsOf(protocol uint8, port uint16, d *diag) (sockets []inetSocket, err error) {
	if d != nil {
		sockets, err = d.socketsAt(protocol, port)
	}
	if d == nil || err != nil {
		sockets, err = procSocketsAt(protocol, port)
	}
	for i := range sockets {
		sockets[i].protocol = protocol
	}
	return sockets, err
}

// socketsAt lists the sockets of a protocol at a port.
func (d *diag) socketsAt(protocol uint8, port uint16) (sockets []inetSocket, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		q := question{family: family, protocol: protocol, states: trafficStates, port: port}
		if sockets, _, err = dump(d, q, sockets, parseDiagTraffic); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(sockets, func(so inetSocket) bool { return so.port != port }), nil
}

// parseDiagTraffic reads a socket in any state.
func parseDiagTraffic(b []byte) (so inetSocket, wanted, whole bool) {
	r, whole := parseDiagRow(b)
	if !whole {
		return inetSocket{}, false, false
	}
	remote, _ := diagAddr(b[0], b[24:40]) // the same family as in the row
	ne := binary.NativeEndian
	return inetSocket{
		row: r, state: b[1], remote: netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:])),
		waiting: ne.Uint32(b[56:]), limit: ne.Uint32(b[60:]), limited: true,
	}, true, true
}

// procSocketsAt lists the sockets of a protocol at a port from /proc/net, except those that are only bound.
func procSocketsAt(protocol uint8, port uint16) (sockets []inetSocket, err error) {
	name := map[uint8]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp"}[protocol]
	err = readProc(name, func(in io.Reader) (err error) {
		sockets, err = parseProcTraffic(in, port, sockets)
		return err
	})
	return sockets, err
}

// parseProcTraffic appends the sockets at a port in such a file to sockets.
func parseProcTraffic(in io.Reader, port uint16, sockets []inetSocket) ([]inetSocket, error) {
	mark := fmt.Sprintf(":%04X ", port) // a quick filter for lines
	err := eachProcLine(in, func(line string) (more bool, err error) {
		if !strings.Contains(line, mark) {
			return true, nil
		}
		so, err := parseProcSocket(line)
		if err == nil && so.port == port {
			sockets = append(sockets, so)
		}
		return true, err
	})
	if err != nil {
		return nil, err
	}
	return sockets, nil
}

// parseProcSocket reads a line of the form "sl local_address rem_address st tx_queue:rx_queue … uid timeout inode …".
func parseProcSocket(line string) (inetSocket, error) {
	fields, err := procFields(line)
	if err != nil {
		return inetSocket{}, err
	}
	r, err := parseProcRow(fields)
	if err != nil {
		return inetSocket{}, err
	}
	remote, err := parseProcAddress(fields[2])
	if err != nil {
		return inetSocket{}, err
	}
	state, err := strconv.ParseUint(fields[3], 16, 8)
	if err != nil {
		return inetSocket{}, fmt.Errorf("state %q", fields[3])
	}
	_, rx, _ := strings.Cut(fields[4], ":")
	waiting, err := strconv.ParseUint(rx, 16, 32)
	if err != nil {
		return inetSocket{}, fmt.Errorf("queues %q", fields[4])
	}
	return inetSocket{row: r, state: uint8(state), remote: remote, waiting: uint32(waiting)}, nil
}

// distinct removes duplicates. A socket can be listed twice if others open or close meanwhile.
func distinct(sockets []inetSocket) []inetSocket {
	seen := make(map[inetSocket]bool, len(sockets))
	return slices.DeleteFunc(sockets, func(so inetSocket) bool {
		if so.cookie != 0 { // its state may have changed meanwhile
			so = inetSocket{row: row{cookie: so.cookie}}
		}
		again := seen[so]
		seen[so] = true
		return again
	})
}

// end returns the socket as an end without an owner.
func (so inetSocket) end() end {
	e := end{use: so.use(), local: so.addr, queue: Queue{Addr: so.addr, Waiting: int(so.waiting)}}
	if so.limited {
		e.queue.Capacity = int(so.limit) + 1 // full when more wait than the limit (sk_acceptq_is_full in net/sock.h)
	}
	if so.remote.Port() != 0 {
		e.remote = so.remote
	}
	return e
}

// use returns the use of the socket. Only sockets with a process have an inode; connections in a queue have none.
func (so inetSocket) use() use {
	if so.protocol == unix.IPPROTO_UDP {
		return datagrams
	}
	switch so.state {
	case tcpListen:
		return listens
	case tcpSynSent:
		return connects
	case tcpEstablished, tcpCloseWait:
		return connected
	case tcpFinWait1, tcpFinWait2, tcpClosing, tcpLastAck:
		if so.inode != 0 {
			return connected
		}
		return lingers
	case tcpTimeWait:
		return lingers
	case tcpClose:
		return bound
	}
	return ignored
}
