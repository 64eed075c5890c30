//go:build !linux

package watcher

import (
	"fmt"
	"testing"
)

// systemRole is described in roles_linux_test.go.
func systemRole(_ *testing.M, role string, _ []string) error { return fmt.Errorf("no role %q", role) }
