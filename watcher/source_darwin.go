package watcher

import "os"

// newSource is described in source_linux.go. On macOS the kernel is asked as well; where its answers cannot be read, or where a
// listener of this process's own is not in them, it is the portable scan, which runs lsof.
func newSource() source {
	kernel, err := openXNU()
	if err != nil {
		return portable()
	}
	w := &walker{kernel: kernel, self: int32(os.Getpid()), uid: uint32(os.Geteuid())}
	return scannerOf("libproc", w.list).proven().or(portable)
}
