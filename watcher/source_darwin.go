package watcher

import "os"

// newSource is described in source_linux.go. On macOS it asks the kernel, too. If it cannot read the kernel's answers,
// or they lack a listener of this process, it uses the portable scan, which runs lsof.
func newSource(everywhere bool) source {
	second := func() source { return portable(everywhere) }
	kernel, err := openXNU()
	if err != nil {
		src := second()
		src.detour = err
		return src
	}
	w := &walker{kernel: kernel, self: int32(os.Getpid()), uid: uint32(os.Geteuid())}
	s := scannerOf("libproc", w.list)
	s.everywhere = everywhere
	return s.proven().or(second)
}
