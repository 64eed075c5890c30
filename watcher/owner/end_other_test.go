//go:build !linux

package owner_test

import "errors"

// disguise is described in end_linux_test.go.
func disguise() error { return errors.ErrUnsupported }
