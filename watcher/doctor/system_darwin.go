package doctor

import "golang.org/x/sys/unix"

// system is described in system_linux.go.
func system() string {
	name, kernel := "macOS", "Darwin"
	if version, err := unix.Sysctl("kern.osproductversion"); err == nil {
		name += " " + version
	}
	if release, err := unix.Sysctl("kern.osrelease"); err == nil {
		kernel += " " + release
	}
	return name + ", " + kernel
}
