package watcher

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A procfs reads /proc without garbage: a search may look at a hundred thousand files. Buffers serve one call at a
// time.
type procfs struct {
	path []byte
	link [64]byte // "socket:[4294967295]" fits
	dir  []byte
}

func newProcfs() *procfs { return &procfs{dir: make([]byte, 32<<10)} }

// at returns the path /proc/PID/rest with a final zero byte. It is valid until the next call.
func (p *procfs) at(pid int32, rest string) *byte {
	p.path = append(p.path[:0], "/proc/"...)
	p.path = strconv.AppendInt(p.path, int64(pid), 10)
	p.path = append(p.path, rest...)
	p.path = append(p.path, 0)
	return &p.path[0]
}

// pids returns the PIDs of all visible processes, in ascending order.
func (p *procfs) pids(into []int32) ([]int32, error) {
	into = into[:0]
	err := p.list(unix.AT_FDCWD, unsafe.StringData("/proc\x00"), func(_ int, name []byte) bool {
		if pid, ok := decimal(name); ok {
			into = append(into, int32(pid))
		}
		return true
	})
	slices.Sort(into)
	return into, err
}

// sockets calls visit for each file descriptor of a process that is a socket, until it returns false.
func (p *procfs) sockets(pid int32, visit func(fd int, inode uint32) bool) error {
	return p.list(unix.AT_FDCWD, p.at(pid, "/fd"), func(dir int, name []byte) bool {
		fd, ok := decimal(name)
		if !ok {
			return true
		}
		inode, ok := p.socket(dir, &name[0])
		return !ok || visit(int(fd), inode)
	})
}

// socketAt returns the inode of the socket under a file descriptor of a process. It returns false for any other file.
func (p *procfs) socketAt(pid int32, fd int) (inode uint32, ok bool) {
	p.at(pid, "/fd/")
	p.path = strconv.AppendInt(p.path[:len(p.path)-1], int64(fd), 10)
	p.path = append(p.path, 0)
	return p.socket(unix.AT_FDCWD, &p.path[0])
}

// socket reads a link that looks like socket:[123].
func (p *procfs) socket(dir int, name *byte) (inode uint32, ok bool) {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&p.link[0])), uintptr(len(p.link)), 0, 0)
	if errno != 0 {
		return 0, false
	}
	number, isSocket := bytes.CutPrefix(p.link[:n], []byte("socket:["))
	number, whole := bytes.CutSuffix(number, []byte("]"))
	value, isNumber := decimal(number)
	return uint32(value), isSocket && whole && isNumber
}

// program reads the target of /proc/PID/exe into the given buffer. It is empty if the link may not be read.
func (p *procfs) program(pid int32, into []byte) []byte {
	at := unix.AT_FDCWD
	into = slices.Grow(into[:0], 256)[:256]
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(at), uintptr(unsafe.Pointer(p.at(pid, "/exe"))),
		uintptr(unsafe.Pointer(&into[0])), uintptr(len(into)), 0, 0)
	if errno != 0 {
		return into[:0]
	}
	return into[:n]
}

// siblings returns the children that the first thread of a process's parent started. It returns none if the kernel does
// not list children (CONFIG_PROC_CHILDREN).
func (p *procfs) siblings(pid int32) (pids []int32) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // without it there are no siblings
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return nil
	}
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%s/task/%[1]s/children", fields[1])) // nor without this
	for field := range bytes.FieldsSeq(list) {
		if pid, ok := decimal(field); ok {
			pids = append(pids, int32(pid))
		}
	}
	return pids
}

// files returns a process's number of open file descriptors, and its user. Before Linux 6.2 the number is always 0.
func (p *procfs) files(pid int32) (n int64, uid uint32, ok bool) {
	p.at(pid, "/fd")
	var st unix.Stat_t
	if err := unix.Stat(string(p.path[:len(p.path)-1]), &st); err != nil {
		return 0, 0, false
	}
	return st.Size, st.Uid, true
}

// list calls visit with each name in a directory, until visit returns false. A zero byte follows each name.
func (p *procfs) list(at int, path *byte, visit func(dir int, name []byte) bool) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(path)), flags, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	dir := int(fd)
	defer unix.Close(dir)
	for {
		n, err := unix.Getdents(dir, p.dir)
		if err != nil || n == 0 {
			return err
		}
		// struct linux_dirent64: inode (8 bytes), offset (8), record length (2), type (1), name.
		for entries := p.dir[:n]; len(entries) > 19; {
			size := int(binary.NativeEndian.Uint16(entries[16:]))
			name := entries[19:size]
			name = name[:bytes.IndexByte(name, 0)]
			if len(name) > 0 && !visit(dir, name) {
				return nil
			}
			entries = entries[size:]
		}
	}
}

// decimal reads a number that consists only of digits.
func decimal(digits []byte) (n uint64, ok bool) {
	for _, d := range digits {
		if d < '0' || d > '9' || n > 1<<40 {
			return 0, false
		}
		n = n*10 + uint64(d-'0')
	}
	return n, len(digits) > 0
}
