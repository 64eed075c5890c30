//go:build !windows

package browser

import (
	"os/exec"
	"syscall"
)

// Detach makes a command live on by itself: a Ctrl-C in the terminal that this program runs in does not reach it.
func Detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
