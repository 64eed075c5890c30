package watcher

import (
	"encoding/binary"
	"net/netip"
)

// An openSocket is a TCP socket of a simulated macOS kernel.
type openSocket struct {
	addrPort netip.AddrPort
	gen      uint64
	uid      uint32
	user     int32 // the last process that used it
	state    uint32
	flags    byte // the IP versions; 0 for that of its address
}

// listeningAt returns a listening socket with generation gen at an address and port.
func listeningAt(place string, gen uint64) openSocket {
	return openSocket{addrPort: netip.MustParseAddrPort(place), gen: gen, uid: 501, user: 77, state: 1}
}

// ip returns the flags and the address field of the socket.
func (s openSocket) ip() (flags byte, addr [16]byte) {
	if ip := s.addrPort.Addr(); ip.Is4() {
		flags = 1
		copy(addr[12:], ip.AsSlice())
	} else {
		flags, addr = 2, ip.As16()
	}
	if s.flags != 0 {
		flags = s.flags
	}
	return flags, addr
}

// aligned marks the start of a nested structure with this alignment.
type aligned int

// reserved is a number of bytes for fields that are zero here.
type reserved int

// structure lays out fields like a C compiler with this packing. An address has the alignment of 32 bits.
func structure(pack int, fields ...any) []byte {
	var b []byte
	align := func(n int) {
		for n = min(n, pack); len(b)%n != 0; {
			b = append(b, 0)
		}
	}
	widest := 1
	for _, f := range fields {
		n := 1
		switch f := f.(type) {
		case aligned:
			n = int(f)
			align(n)
		case reserved:
			b = append(b, make([]byte, f)...)
		case uint8:
			b = append(b, f)
		case uint16:
			n = 2
			align(n)
			b = binary.LittleEndian.AppendUint16(b, f)
		case uint32:
			n = 4
			align(n)
			b = binary.LittleEndian.AppendUint32(b, f)
		case uint64:
			n = 8
			align(n)
			b = binary.LittleEndian.AppendUint64(b, f)
		case [16]byte:
			n = 4
			align(n)
			b = append(b, f[:]...)
		default:
			panic("no such type in a structure")
		}
		widest = max(widest, n)
	}
	align(widest)
	return b
}

// networkOrder returns a port as the kernel stores it in memory.
func networkOrder(port uint16) uint16 { return port<<8 | port>>8 }

// record completes a record: its length in the first field, and padding.
func record(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	return append(b, make([]byte, -len(b)&7)...)
}

// inpcb is struct xinpcb_n.
func (s openSocket) inpcb() []byte {
	flags, addr := s.ip()
	return record(structure(4,
		uint32(0), uint32(xsoInpcb), uint64(0xa1), // xi_len, xi_kind, xi_inpp
		uint16(0), networkOrder(s.addrPort.Port()), // inp_fport, inp_lport
		uint64(0xa2), s.gen, uint32(0xa3), uint32(0xa4), // inp_ppcb, inp_gencnt, inp_flags, inp_flow
		flags, uint8(64), uint8(6), // inp_vflag, inp_ip_ttl, inp_ip_p
		[16]byte{}, addr, // inp_dependfaddr, inp_dependladdr
		uint8(7), // inp_depend4: inp4_ip_tos
		// inp_depend6: inp6_hlim, inp6_cksum, inp6_ifindex, inp6_hops
		aligned(4), uint8(8), uint32(9), uint16(10), uint16(11),
		uint32(0xa5), uint32(0xa6), // inp_flowhash, inp_flags2
	))
}

// socket is struct xsocket_n, in the form up to macOS 12 or the present one.
func (s openSocket) socket(macOS12 bool) []byte {
	fields := []any{
		uint32(0), uint32(xsoSocket), uint64(0xb1), // xso_len, xso_kind, xso_so
		// so_type, so_options, so_linger, so_state, so_pcb
		uint16(1), uint32(2), uint16(0xb2), uint16(0xb3), uint64(0xb4),
		uint32(6), uint32(30), // xso_protocol, xso_family
		uint16(0), uint16(0), uint16(128), uint16(0), uint16(0), // so_qlen, so_incqlen, so_qlimit, so_timeo, so_error
		// so_pgid, so_oobmark, so_uid, so_last_pid, so_e_pid
		uint32(0xb5), uint32(0xb6), s.uid, uint32(s.user), uint32(0xb7),
	}
	if !macOS12 {
		// so_gencnt, so_flags, so_flags1, so_usecount, so_retaincnt, xso_filter_flags
		fields = append(fields, uint64(0xb8), uint32(0), uint32(0), uint32(1), uint32(0), uint32(0))
	}
	return record(structure(4, fields...))
}

// buffer is struct xsockbuf_n. A connection that outlives its socket has one without a kind.
func buffer(kind uint32) []byte { return record(structure(4, uint32(0), kind, reserved(24))) }

// tcpcb is struct xtcpcb_n: xt_len, xt_kind, t_segq, t_dupacks, t_timer of four, t_state, t_flags and so on.
func (s openSocket) tcpcb() []byte {
	return record(structure(4,
		uint32(0), uint32(xsoTcpcb), uint64(0xc1), uint32(0xc2), reserved(16), s.state, uint32(0xc3), reserved(160)))
}

// records returns the records of the socket in a table.
func (s openSocket) records(macOS12 bool) [][]byte {
	stats := record(structure(4, uint32(0), uint32(0x008), reserved(128))) // struct xsockstat_n
	return [][]byte{s.inpcb(), s.socket(macOS12), buffer(0x002), buffer(0x004), stats, s.tcpcb()}
}

// xinpgen is the record at both ends of a table: xig_len, xig_count, xig_gen, xig_sogen.
func xinpgen(count int, gen uint64) []byte {
	return structure(4, uint32(sizeofXinpgen), uint32(count), gen, uint64(0xd1))
}

// tableOf returns a table of sockets.
func tableOf(macOS12 bool, sockets ...openSocket) []byte {
	table := xinpgen(len(sockets), 1000)
	if len(sockets) == 0 {
		return table
	}
	for _, s := range sockets {
		for _, r := range s.records(macOS12) {
			table = append(table, r...)
		}
	}
	return append(table, xinpgen(len(sockets), 1000)...)
}

// withheld is the table that macOS 27 gives to processes without permission.
func withheld() []byte { return append(xinpgen(89, 1000), xinpgen(89, 1000)...) }

// info is struct socket_fdinfo.
func (s openSocket) info() []byte {
	flags, addr := s.ip()
	return structure(8,
		// pfi: fi_openflags, fi_status, fi_offset, fi_type, fi_guardflags
		uint32(3), uint32(0), uint64(0), uint32(2), uint32(0),
		// soi_stat: vst_dev, _mode, _nlink, _ino, _uid, _gid
		uint32(0), uint16(0), uint16(0), uint64(0), uint32(0), uint32(0),
		reserved(8*8), uint64(0), uint64(0), // 4 times of 2 fields each, vst_size, vst_blocks
		// vst_blksize, vst_flags, vst_gen, vst_rdev, vst_qspare
		uint32(0), uint32(0), uint32(0), uint32(0), uint64(0), uint64(0),
		// soi_so, soi_pcb, soi_type, soi_protocol, soi_family
		uint64(0xe1), uint64(0xe2), uint32(1), uint32(6), uint32(30),
		// soi_options, soi_linger, soi_state, soi_qlen, soi_incqlen, soi_qlimit, soi_timeo, soi_error, soi_oobmark
		uint16(0xe3), uint16(0), uint16(0), uint16(0), uint16(0), uint16(128), uint16(0), uint16(0), uint32(0),
		reserved(24), reserved(24), // soi_rcv, soi_snd
		uint32(sockinfoTCP), uint32(0), // soi_kind, rfu_1
		// soi_proto.pri_tcp.tcpsi_ini: insi_fport, insi_lport, insi_gencnt
		aligned(8), uint32(0), uint32(networkOrder(s.addrPort.Port())), s.gen,
		uint32(0xe4), uint32(0), flags, uint8(64), uint32(0), // insi_flags, insi_flow, insi_vflag, insi_ip_ttl, rfu_1
		[16]byte{}, addr, // insi_faddr, insi_laddr
		uint8(0), aligned(4), uint8(0), uint32(0), uint16(0), uint16(0), // insi_v4, insi_v6
		// tcpsi_state, tcpsi_timer, tcpsi_mss, tcpsi_flags, rfu_1, tcpsi_tp
		aligned(8), s.state, reserved(16), uint32(1460), uint32(0), uint32(0), uint64(0xe5),
		reserved(528-120), // as large as struct un_sockinfo
	)
}

// fdinfo is struct proc_fdinfo.
func fdinfo(fd int32, kind uint32) []byte { return structure(8, uint32(fd), kind) }

// pidList returns a list of PIDs. The kernel has no structure for it.
func pidList(pids ...int32) []byte {
	var list []byte
	for _, pid := range pids {
		list = binary.LittleEndian.AppendUint32(list, uint32(pid))
	}
	return list
}
