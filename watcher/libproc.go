package watcher

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The layouts of libproc's answers about processes and their files. They are public (bsd/sys/proc_info.h in XNU,
// sys/proc_info.h in Apple's SDK: struct proc_fdinfo, and struct socket_fdinfo with its members). They are the same for
// all versions of macOS and both processors.
const (
	sizeofPID          = 4
	sizeofFdinfo       = 8
	sizeofSocketFdinfo = 792

	fdtypeSocket = 2 // PROX_FDTYPE_SOCKET
	sockinfoTCP  = 2 // SOCKINFO_TCP
)

// readList asks for a list of about n bytes. It offers a larger buffer, because the list may have grown meanwhile. A
// list that fills the buffer may be incomplete, so readList then tries a buffer twice as large. It returns the list and
// the buffer. The list is the beginning of the buffer. The buffer is new if the given one was too small.
func readList(buf []byte, n int, ask func(room []byte) (used int, err error)) (list, _ []byte, err error) {
	const spare = 256
	for n += spare; ; n = 2 * len(buf) {
		if len(buf) < n {
			buf = make([]byte, n)
		}
		used, err := ask(buf)
		switch {
		case err != nil:
			return nil, buf, err
		case used < 0 || used > len(buf):
			return nil, buf, fmt.Errorf("got %d bytes where there was room for %d", used, len(buf))
		case used < len(buf):
			return buf[:used], buf, nil
		}
	}
}

// parseProcesses returns the PIDs of all processes, from the list of PROC_ALL_PIDS.
func parseProcesses(list []byte) ([]int32, error) {
	if len(list)%sizeofPID != 0 {
		return nil, fmt.Errorf("the list has %d bytes", len(list))
	}
	pids := make([]int32, 0, len(list)/sizeofPID)
	for ; len(list) > 0; list = list[sizeofPID:] {
		pids = append(pids, int32(binary.LittleEndian.Uint32(list)))
	}
	return pids, nil
}

// parseFiles returns the descriptors of a process that are sockets, from the list of PROC_PIDLISTFDS.
func parseFiles(list []byte) ([]int32, error) {
	if len(list)%sizeofFdinfo != 0 {
		return nil, fmt.Errorf("the list of its files has %d bytes", len(list))
	}
	var sockets []int32
	for le := binary.LittleEndian; len(list) > 0; list = list[sizeofFdinfo:] {
		if le.Uint32(list[4:]) == fdtypeSocket {
			sockets = append(sockets, int32(le.Uint32(list)))
		}
	}
	return sockets, nil
}

// parseSocket reads the answer of PROC_PIDFDSOCKETINFO. It returns false for any socket but a listening TCP socket.
func parseSocket(info []byte) (kernelSocket, bool, error) {
	if len(info) != sizeofSocketFdinfo {
		return kernelSocket{}, false,
			fmt.Errorf("what is said about a socket has %d bytes, not %d", len(info), sizeofSocketFdinfo)
	}
	le := binary.LittleEndian
	kind := le.Uint32(info[256:])  // psi.soi_kind
	state := le.Uint32(info[344:]) // for TCP psi.soi_proto.pri_tcp.tcpsi_state
	if kind != sockinfoTCP || state != tcpsListen {
		return kernelSocket{}, false, nil
	}
	in := info[264:] // psi.soi_proto.pri_tcp.tcpsi_ini
	addr, err := kernelAddr(in[24], [16]byte(in[48:64]))
	if err != nil {
		return kernelSocket{}, false, err
	}
	port := binary.BigEndian.Uint16(in[4:]) // an int with a number in network byte order
	return kernelSocket{netip.AddrPortFrom(addr, port), le.Uint64(in[8:])}, true, nil
}
