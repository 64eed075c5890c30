package port

import "syscall"

// Ephemeral is described in ephemeral_linux.go.
func Ephemeral() (first, last uint16, ok bool) {
	from, err := syscall.SysctlUint32("net.inet.ip.portrange.first")
	if err != nil {
		return 0, 0, false
	}
	to, err := syscall.SysctlUint32("net.inet.ip.portrange.last")
	if err != nil {
		return 0, 0, false
	}
	return span(uint64(min(from, to)), uint64(max(from, to))) // the kernel takes them in either order
}
