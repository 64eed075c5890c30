//go:build unix && !linux

package port

import "syscall"

const reusePort = syscall.SO_REUSEPORT
