//go:build !linux

package owner

import (
	"errors"
	"runtime"
)

// ExitsUntold is described in untold_linux.go.
func ExitsUntold() error {
	if runtime.GOOS == "windows" {
		return nil // a handle has the exit status
	}
	return errors.New("this system tells only the parent")
}
