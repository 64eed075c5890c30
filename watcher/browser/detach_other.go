//go:build !windows

package browser

import (
	"os/exec"
	"syscall"
)

// Detach makes a command outlive this program: Ctrl-C in this program's terminal does not reach it.
func Detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
