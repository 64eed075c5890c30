//go:build !linux && !darwin && !windows

package owner

import "context"

// manager is described in manager_linux.go. It supports no service manager on this system.
func manager(context.Context, Process) Manager { return Manager{} }
