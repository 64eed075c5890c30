package watcher

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// scanners returns the portable scanner, and the macOS scanner on a simulated kernel.
func scanners() map[string]func() *scanner {
	return map[string]func() *scanner{
		"gopsutil": newScanner,
		"libproc": func() *scanner {
			w := &walker{kernel: seemingXNU(), self: int32(os.Getpid()), uid: uint32(os.Geteuid())}
			return scannerOf("libproc", w.list)
		},
	}
}

// seemingXNU presents /proc in the format of macOS. The inode number of a socket is its generation.
func seemingXNU() xnu {
	fs := newProcfs()
	listeners := map[uint32]openSocket{}
	return xnu{
		table: func() ([]byte, error) {
			rows, _, err := listProc(nil)
			if err != nil {
				return nil, err
			}
			clear(listeners)
			var sockets []openSocket
			for _, r := range rows {
				so := openSocket{addrPort: netip.AddrPortFrom(r.addr, r.port), gen: uint64(r.inode), uid: r.uid,
					user: 1, state: tcpsListen}
				listeners[r.inode] = so
				sockets = append(sockets, so)
			}
			return tableOf(false, sockets...), nil
		},
		processes: func() ([]byte, error) {
			pids, err := fs.pids(nil)
			return pidList(pids...), err
		},
		files: func(pid int32) ([]byte, error) {
			var list []byte
			err := fs.sockets(pid, func(fd int, inode uint32) bool {
				list = append(list, fdinfo(int32(fd), fdtypeSocket)...)
				return true
			})
			if errors.Is(err, syscall.ENOENT) {
				err = syscall.ESRCH
			}
			return list, err
		},
		socket: func(pid, fd int32) ([]byte, error) {
			inode, ok := fs.socketAt(pid, int(fd))
			if !ok {
				return nil, syscall.EBADF
			}
			so, ok := listeners[inode]
			if !ok {
				so = openSocket{addrPort: netip.MustParseAddrPort("127.0.0.1:1"), state: 4}
			}
			return so.info(), nil
		},
	}
}
