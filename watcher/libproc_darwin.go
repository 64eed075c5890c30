package watcher

import (
	"fmt"
	"syscall"
	"unsafe"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"
)

// A libproc calls functions of Apple's libproc (libproc.h). That is part of the library that every program on macOS
// links. A libproc keeps its buffers between calls and belongs to one goroutine.
type libproc struct {
	listpids, pidinfo, pidfdinfo uintptr

	processes, files []byte
	about            [sizeofSocketFdinfo]byte
}

const ( // in sys/proc_info.h
	procAllPIDs         = 1
	procPIDListFDs      = 1
	procPIDFDSocketInfo = 3
)

// openXNU looks up the functions that ask the kernel.
func openXNU() (xnu, error) {
	p := &libproc{}
	for name, at := range map[string]*uintptr{
		"proc_listpids": &p.listpids, "proc_pidinfo": &p.pidinfo, "proc_pidfdinfo": &p.pidfdinfo,
	} {
		f, err := purego.Dlsym(purego.RTLD_DEFAULT, name)
		if err != nil {
			return xnu{}, fmt.Errorf("find %s: %w", name, err)
		}
		*at = f
	}
	table := func() ([]byte, error) { return unix.SysctlRaw("net.inet.tcp.pcblist_n") }
	return xnu{table: table, processes: p.listProcesses, files: p.listFiles, socket: p.aboutSocket}, nil
}

// listProcesses asks for the size of the list, and then for the list.
func (p *libproc) listProcesses() (list []byte, err error) {
	n, err := checked(purego.SyscallN(p.listpids, procAllPIDs, 0, 0, 0))
	if err != nil {
		return nil, err
	}
	list, p.processes, err = readList(p.processes, n, func(room []byte) (int, error) {
		return checked(purego.SyscallN(p.listpids, procAllPIDs, 0,
			uintptr(unsafe.Pointer(&room[0])), uintptr(len(room))))
	})
	return list, err
}

// listFiles does the same. The size is never 0, so the first answer tells whether the process may be inspected. In the
// second answer 0 means that the process has no files, or that it is ending.
func (p *libproc) listFiles(pid int32) (list []byte, err error) {
	n, err := checked(purego.SyscallN(p.pidinfo, uintptr(pid), procPIDListFDs, 0, 0, 0))
	if err != nil {
		return nil, err
	}
	list, p.files, err = readList(p.files, n, func(room []byte) (int, error) {
		r, _, _ := purego.SyscallN(p.pidinfo, uintptr(pid), procPIDListFDs, 0,
			uintptr(unsafe.Pointer(&room[0])), uintptr(len(room)))
		return int(int32(r)), nil
	})
	return list, err
}

// aboutSocket returns the kernel's facts about a socket. It fails for a file that is no socket.
func (p *libproc) aboutSocket(pid, fd int32) ([]byte, error) {
	n, err := checked(purego.SyscallN(p.pidfdinfo, uintptr(pid), uintptr(fd), procPIDFDSocketInfo,
		uintptr(unsafe.Pointer(&p.about[0])), uintptr(len(p.about))))
	if err != nil {
		return nil, err
	}
	return p.about[:min(n, len(p.about))], nil
}

// checked interprets the result of a libproc function: a number of bytes, or 0 for an error. Only then errno is valid.
// Both have the C type int, so the upper halves of the registers are undefined.
func checked(result, _, errno uintptr) (int, error) {
	if n := int32(result); n > 0 {
		return int(n), nil
	}
	return 0, syscall.Errno(int32(errno))
}
