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
	gen      uint64 // generation of the control block, unique among all sockets ever made
}

// A tableSocket is a socket in the kernel's table. The table does not name its owner reliably.
type tableSocket struct {
	kernelSocket
	uid uint32 // of the user who made it
}

// Constants of the table that sysctl net.inet.tcp.pcblist_n returns for all TCP sockets of the system. It consists of
// records of the form "length, kind, …", each padded to a multiple of 8 bytes. They stand between two records of 24
// bytes without a kind. Each socket has six records, always in the same order; three of them matter here. Their layouts
// are private, but published with the kernel (XNU: struct xinpgen and xinpcb_n in bsd/netinet/in_pcb.h, xsocket_n in
// bsd/sys/socketvar.h, xtcpcb_n in bsd/netinet/tcp_var.h, all packed to 4 bytes; get_pcblist_n in
// bsd/netinet/in_pcblist.c). They are the same since macOS 10.15, except that the end of xsocket_n grew in macOS 13. A
// record of another length has an unknown layout, and is an error.
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

// parseTable returns the listening sockets in the table, in its order. Since macOS 27 many programs get only their own
// sockets, without an error. So others reports whether a process other than self was the last user of any socket.
func parseTable(table []byte, self int32) (sockets []tableSocket, others bool, err error) {
	head, table, err := nextRecord(table)
	if err != nil || len(head) != sizeofXinpgen {
		return nil, false, errors.New("the table of TCP sockets does not begin as it should")
	}
	le := binary.LittleEndian // all processors of macOS are little-endian
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

// nextRecord splits the first record off a table.
func nextRecord(table []byte) (record, rest []byte, err error) {
	if len(table) < 8 {
		return nil, nil, errors.New("the table of TCP sockets is cut off")
	}
	size := binary.LittleEndian.Uint32(table)
	if size < 8 || uint64(size) > uint64(len(table)) {
		return nil, nil,
			fmt.Errorf("the table of TCP sockets has a record of %d bytes where %d are left", size, len(table))
	}
	return table[:size], table[min(int(size+7)&^7, len(table)):], nil
}

// A tableEntry holds the records read so far about one socket.
type tableEntry struct {
	parts   uint32 // the kinds of the records read
	inpcb   []byte
	uid     uint32
	pid     int32 // the last process to use the socket; it may have ended, and others may hold the socket
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

func (e *tableEntry) socket() (tableSocket, error) {
	addr, err := kernelAddr(e.inpcb[44], [16]byte(e.inpcb[64:80]))
	if err != nil {
		return tableSocket{}, err
	}
	port := binary.BigEndian.Uint16(e.inpcb[18:])
	gen := binary.LittleEndian.Uint64(e.inpcb[28:])
	return tableSocket{kernelSocket{netip.AddrPortFrom(addr, port), gen}, e.uid}, nil
}

// kernelAddr reads a bind address. The flags give the IP versions of the socket; an IPv6 wildcard may have both. An
// IPv4 address is in the last four bytes, even for an IPv6 socket bound to an IPv4 address. A link-local address has
// the number of its interface in the third and fourth byte (sa6_embedscope in bsd/netinet6/scope6.c).
func kernelAddr(flags byte, addr [16]byte) (netip.Addr, error) {
	const ipv4, ipv6 = 1, 2 // INP_IPV4, INP_IPV6 (bsd/netinet/in_pcb.h), INI_IPV4, INI_IPV6 (bsd/sys/proc_info.h)
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
