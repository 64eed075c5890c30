package doctor

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// system is described in system_linux.go. Windows 11 still calls itself 10.0, from build 22000 on.
func system() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("Windows %d.%d, build %d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}
