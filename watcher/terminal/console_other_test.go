//go:build !windows

package terminal

import "fmt"

// systemRole runs the test binary in a role of this system.
func systemRole(role string) error {
	if role == "attach" {
		return roleAttach()
	}
	return fmt.Errorf("no role %q", role)
}
