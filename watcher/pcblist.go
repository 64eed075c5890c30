package watcher

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// A kernelSocket is a listening TCP socket as the kernel of macOS describes it.
type kernelSocket struct {
	addrPort netip.AddrPort
	gen      uint64 // of the socket's control block: each that was ever made has another one
}

// A tableSocket is one in the kernel's table, which does not say for sure whose it is.
type tableSocket struct {
	kernelSocket
	uid uint32 // of who made it
}

// The table is what sysctl net.inet.tcp.pcblist_n returns, for all TCP sockets of the system: records of the form "length, kind,
// …", each padded to a multiple of 8 bytes, between two of 24 bytes without a kind. Each socket has six of them, always in the
// same order, of which three tell something here. Their layouts are private, but published with the kernel (XNU: struct xinpgen
// and xinpcb_n in bsd/netinet/in_pcb.h, xsocket_n in bsd/sys/socketvar.h, xtcpcb_n in bsd/netinet/tcp_var.h, all of them packed
// to 4 bytes; get_pcblist_n in bsd/netinet/in_pcblist.c). They are the same from macOS 10.15 on but for the end of xsocket_n,
// which grew in macOS 13. A record of another length has a layout that is not known here, and is an error.
const (
	sizeofXinpgen   = 24
	sizeofXinpcb    = 104
	sizeofXsocket12 = 76 // up to macOS 12
	sizeofXsocket   = 104
	sizeofXtcpcb    = 204

	xsoSocket = 0x001
	xsoInpcb  = 0x010
	xsoTcpcb  = 0x020

	tcpsListen = 1 // TCPS_LISTEN in bsd/netinet/tcp_fsm.h, TSI_S_LISTEN in bsd/sys/proc_info.h
)

// parseTable returns the listening sockets in the table, in its order. From macOS 27 on many programs are given a table of their
// own sockets alone, without an error; others says that there is any socket in it, listening or not, that a process other than
// self used last.
func parseTable(table []byte, self int32) (sockets []tableSocket, others bool, err error) {
	head, table, err := nextRecord(table)
	if err != nil || len(head) != sizeofXinpgen {
		return nil, false, errors.New("the table of TCP sockets does not begin as it should")
	}
	le := binary.LittleEndian // as all processors are that macOS runs on
	if le.Uint32(head[4:]) == 0 && len(table) == 0 {
		return nil, false, nil
	}
	var r []byte
	for s := (tableEntry{}); ; {
		if r, table, err = nextRecord(table); err != nil {
			return nil, false, err
		}
		if len(r) == sizeofXinpgen {
			switch {
			case s.parts != 0 || len(table) > 0:
				return nil, false, errors.New("the table of TCP sockets ends early")
			case le.Uint64(r[8:]) != le.Uint64(head[8:]):
				return nil, false, errors.New("the table of TCP sockets changed while it was written")
			}
			return sockets, others, nil
		}
		if err := s.add(r); err != nil {
			return nil, false, err
		}
		if s.parts&xsoTcpcb == 0 {
			continue
		}
		others = others || s.pid > 0 && s.pid != self
		if s.listens {
			so, err := s.socket()
			if err != nil {
				return nil, false, err
			}
			if so.addrPort.Port() != 0 {
				sockets = append(sockets, so)
			}
		}
		s = tableEntry{}
	}
}

// nextRecord cuts the first record off a table.
func nextRecord(table []byte) (record, rest []byte, err error) {
	if len(table) < 8 {
		return nil, nil, errors.New("the table of TCP sockets is cut off")
	}
	size := binary.LittleEndian.Uint32(table)
	if size < 8 || uint64(size) > uint64(len(table)) {
		return nil, nil, fmt.Errorf("the table of TCP sockets has a record of %d bytes where %d are left", size, len(table))
	}
	return table[:size], table[min(int(size+7)&^7, len(table)):], nil
}

// A tableEntry is what the records said so far about one socket.
type tableEntry struct {
	parts   uint32 // the kinds of those that were read
	inpcb   []byte
	uid     uint32
	pid     int32 // of the process that used the socket last; it may have ended, and others may hold the socket
	listens bool
}

// add reads the next record.
func (e *tableEntry) add(r []byte) error {
	le := binary.LittleEndian
	kind := le.Uint32(r[4:])
	switch {
	case kind != xsoInpcb && kind != xsoSocket && kind != xsoTcpcb: // buffers and statistics
		return nil
	case kind == xsoInpcb && len(r) == sizeofXinpcb && e.parts == 0:
		e.inpcb = r
	case kind == xsoSocket && (len(r) == sizeofXsocket || len(r) == sizeofXsocket12) && e.parts == xsoInpcb:
		e.uid, e.pid = le.Uint32(r[64:]), int32(le.Uint32(r[68:]))
	case kind == xsoTcpcb && len(r) == sizeofXtcpcb && e.parts == xsoInpcb|xsoSocket:
		e.listens = le.Uint32(r[36:]) == tcpsListen
	default:
		return fmt.Errorf("the table of TCP sockets has an unknown record: kind %#x, %d bytes", kind, len(r))
	}
	e.parts |= kind
	return nil
}

// socket returns the socket that was described.
func (e *tableEntry) socket() (tableSocket, error) {
	addr, err := kernelAddr(e.inpcb[44], [16]byte(e.inpcb[64:80]))
	if err != nil {
		return tableSocket{}, err
	}
	port := binary.BigEndian.Uint16(e.inpcb[18:])
	return tableSocket{kernelSocket{netip.AddrPortFrom(addr, port), binary.LittleEndian.Uint64(e.inpcb[28:])}, e.uid}, nil
}

// kernelAddr reads a bind address. The flags say which versions of IP the socket takes: an IPv6 wildcard may take both. An IPv4
// address stands in the last four bytes, also that of an IPv6 socket bound to an IPv4 address. An address of one link has the
// number of its interface in the third and fourth byte (sa6_embedscope in bsd/netinet6/scope6.c).
func kernelAddr(flags byte, addr [16]byte) (netip.Addr, error) {
	const ipv4, ipv6 = 1, 2 // INP_IPV4 and INP_IPV6 in bsd/netinet/in_pcb.h, INI_IPV4 and INI_IPV6 in bsd/sys/proc_info.h
	switch {
	case flags&ipv6 != 0:
		if netip.AddrFrom16(addr).IsLinkLocalUnicast() {
			addr[2], addr[3] = 0, 0
		}
		return netip.AddrFrom16(addr).Unmap(), nil
	case flags&ipv4 != 0:
		return netip.AddrFrom4([4]byte(addr[12:])), nil
	}
	return netip.Addr{}, fmt.Errorf("a TCP socket is of no known version of IP: %#x", flags)
}
