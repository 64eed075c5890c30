package doctor

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// system is described in system_linux.go. Windows 11 reports version 10.0, with build 22000 or newer.
func system() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("Windows %d.%d, build %d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}
