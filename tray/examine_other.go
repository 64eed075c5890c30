//go:build !linux

package tray

import (
	"context"
	"os/exec"
	"runtime"

	"porttray/watcher/doctor"
)

// examineSession is described in examine_linux.go.
func examineSession(context.Context) []doctor.Finding {
	return examineElsewhere(runtime.GOOS, Remote(), exec.LookPath)
}
