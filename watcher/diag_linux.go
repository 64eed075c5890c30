package watcher

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A row is one listening socket as the kernel lists it, without its owner.
type row struct {
	addr   netip.Addr // unmapped
	port   uint16
	uid    uint32 // of the user who made the socket
	inode  uint32 // 0 for a socket of the kernel itself
	cookie uint64 // never reused, unlike the inode; 0 if the listing does not tell
	cgroup uint64 // the inode number of its directory; 0 if the listing does not tell
}

// A rowKey names a socket for as long as it lives.
type rowKey struct{ a, b uint64 }

func (r row) key() rowKey {
	if r.cookie != 0 {
		return rowKey{a: r.cookie}
	}
	ip := r.addr.As16()
	return rowKey{uint64(r.inode)<<32 | uint64(r.port), binary.BigEndian.Uint64(ip[8:])}
}

// A diag asks the kernel for sockets over NETLINK_SOCK_DIAG (sock_diag(7)). The cost of listing grows only with the
// number of listening TCP sockets, not with processes, files or connections.
type diag struct {
	fd  int
	seq uint32
	buf []byte
}

// diagBuffer is larger than the largest part of a dump (32 kB), so each read returns a whole part.
const diagBuffer = 64 << 10

// openDiag opens the socket. The socket always shows the network namespace of the thread that opened it.
func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open a sock_diag socket: %w", err)
	}
	// The kernel answers at once or never.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open a sock_diag socket: %w", err)
	}
	return &diag{fd: fd, buf: make([]byte, diagBuffer)}, nil
}

// close closes the socket. Later requests fail, instead of reaching another file with the same number.
func (d *diag) close() {
	unix.Close(d.fd)
	d.fd = -1
}

// list appends the listening sockets of both address families to rows. It sets parted if the list came in several
// parts. Then a socket can be missing, or listed twice, if others opened or closed at the same time.
func (d *diag) list(rows []row) (result []row, parted bool, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		var parts int
		q := question{family: family, protocol: unix.IPPROTO_TCP, states: 1 << tcpListen}
		rows, parts, err = dump(d, q, rows, parseDiagSocket)
		if err != nil {
			return nil, false, err
		}
		parted = parted || parts > 2 // a complete list has one part with sockets and one end part
	}
	return rows, parted, nil
}

// dump asks a question and appends the results of read to list. It also returns the number of parts in the answer.
func dump[T any](d *diag, q question, list []T, read reader[T]) (result []T, parts int, err error) {
	if err := d.ask(q); err != nil {
		return nil, 0, err
	}
	for done := false; !done; parts++ {
		n, from, err := unix.Recvfrom(d.fd, d.buf, unix.MSG_TRUNC)
		if err != nil {
			return nil, 0, fmt.Errorf("read from sock_diag: %w", err)
		}
		if n > len(d.buf) {
			return nil, 0, fmt.Errorf("read from sock_diag: %d bytes at once: %w", n, unix.EMSGSIZE)
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != 0 {
			continue
		}
		list, done, err = parseDiag(d.buf[:n], d.seq, list, read)
		if err != nil {
			return nil, 0, fmt.Errorf("read from sock_diag: %w", err)
		}
	}
	return list, parts, nil
}

// A question asks for the sockets of one address family and protocol in any of several states.
type question struct {
	family, protocol uint8
	states           uint32 // a bit for each
	port             uint16 // local; 0 for any. The kernel ignores it for sockets that are only bound.
}

// ask puts a question to the kernel.
func (d *diag) ask(q question) error {
	d.seq++
	const size = unix.SizeofNlMsghdr + 56 // struct inet_diag_req_v2
	var req [size]byte
	le := binary.NativeEndian
	le.PutUint32(req[0:], size)
	le.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	le.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	le.PutUint32(req[8:], d.seq)
	req[16] = q.family
	req[17] = q.protocol
	le.PutUint32(req[20:], q.states)
	binary.BigEndian.PutUint16(req[24:], q.port)
	if _, err := unix.Write(d.fd, req[:]); err != nil {
		return fmt.Errorf("ask sock_diag: %w", err)
	}
	return nil
}

const (
	tcpListen      = 10 // enum in linux/tcp.h
	inetDiagMsg    = 72 // size of struct inet_diag_msg
	inetDiagCgroup = 21 // INET_DIAG_CGROUP_ID
)

var errCutOff = errors.New("a message is cut off")

// A reader reads a whole struct inet_diag_msg and the attributes behind it (linux/inet_diag.h). It reports whether the
// socket is wanted, and whether the attributes are whole, too.
type reader[T any] func(b []byte) (t T, wanted, whole bool)

// parseDiag appends the wanted sockets in one part of a dump to list. It sets done on the last part, and skips messages
// of other requests. If the kernel calls the dump interrupted, the error wraps EINTR.
func parseDiag[T any](part []byte, seq uint32, list []T, read reader[T]) (result []T, done bool, err error) {
	ne := binary.NativeEndian
	for len(part) > 0 {
		if len(part) < unix.SizeofNlMsghdr {
			return nil, false, errCutOff
		}
		size := int(ne.Uint32(part))
		if size < unix.SizeofNlMsghdr || size > len(part) {
			return nil, false, errCutOff
		}
		kind, flags, of := ne.Uint16(part[4:]), ne.Uint16(part[6:]), ne.Uint32(part[8:])
		body := part[unix.SizeofNlMsghdr:size]
		part = part[min(align4(size), len(part)):]
		if of != seq {
			continue
		}
		if flags&unix.NLM_F_DUMP_INTR != 0 {
			return nil, false, fmt.Errorf("the list changed while it was read: %w", unix.EINTR)
		}
		switch kind {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			if len(body) < 4 {
				return nil, false, errCutOff
			}
			if code := int32(ne.Uint32(body)); code != 0 {
				return nil, false, unix.Errno(-code)
			}
			if kind == unix.NLMSG_ERROR { // an acknowledgement does not mean an empty list
				return nil, false, unix.EOPNOTSUPP
			}
			return list, true, nil
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < inetDiagMsg {
				return nil, false, errCutOff
			}
			t, wanted, whole := read(body)
			if !whole {
				return nil, false, errCutOff
			}
			if wanted {
				list = append(list, t)
			}
		}
	}
	return list, false, nil
}

func parseDiagSocket(b []byte) (r row, listening, whole bool) {
	if b[1] != tcpListen {
		return row{}, false, true
	}
	r, whole = parseDiagRow(b)
	return r, whole && r.port != 0, whole
}

// parseDiagRow reads the fields of a row, for a socket in any state.
func parseDiagRow(b []byte) (r row, whole bool) {
	ne := binary.NativeEndian
	r = row{
		port:   binary.BigEndian.Uint16(b[4:]),
		cookie: uint64(ne.Uint32(b[44:])) | uint64(ne.Uint32(b[48:]))<<32,
		uid:    ne.Uint32(b[64:]),
		inode:  ne.Uint32(b[68:]),
	}
	if r.addr, whole = diagAddr(b[0], b[8:24]); !whole {
		return row{}, false
	}
	for attrs := b[inetDiagMsg:]; len(attrs) >= 4; {
		size, kind := int(ne.Uint16(attrs)), ne.Uint16(attrs[2:])
		if size < 4 || size > len(attrs) {
			return row{}, false
		}
		if kind == inetDiagCgroup && size >= 12 {
			r.cgroup = ne.Uint64(attrs[4:])
		}
		attrs = attrs[min(align4(size), len(attrs)):]
	}
	return r, true
}

func diagAddr(family uint8, b []byte) (addr netip.Addr, ok bool) {
	switch family {
	case unix.AF_INET:
		return netip.AddrFrom4([4]byte(b)), true
	case unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b)).Unmap(), true
	}
	return netip.Addr{}, false
}

// align4 rounds up to where the next message or attribute starts.
func align4(n int) int { return (n + 3) &^ 3 }

// refused reports whether an error means that sock_diag is unavailable here: an old kernel, gVisor or WSL 1, a sandbox.
func refused(err error) bool {
	for _, no := range []unix.Errno{unix.ENOENT, unix.EPROTONOSUPPORT, unix.EPERM, unix.EACCES, unix.EAFNOSUPPORT,
		unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
