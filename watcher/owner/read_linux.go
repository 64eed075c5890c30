package owner

import "golang.org/x/sys/unix"

// ReadBelow returns a file's content, up to max bytes, perhaps in buf. The error says why it stopped early.
func ReadBelow(dir int, name string, buf []byte, max int) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for {
		if n == len(buf) {
			if n >= max {
				return buf[:n], nil
			}
			buf = append(buf, make([]byte, min(3*n, max-n))...)
		}
		got, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || got <= 0 {
			return buf[:n], err
		}
		n += got
	}
}
