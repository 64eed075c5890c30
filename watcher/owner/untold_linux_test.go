package owner

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExitsUntold compares the forecast of ExitsUntold with the kernel's answer about a reaped child.
func TestExitsUntold(t *testing.T) {
	cmd := exec.Command("true")
	pidfd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	tells := false
	if pidfd >= 0 {
		defer unix.Close(pidfd)
		exit, _ := exitOf(pidfd)
		tells = exit == Exit{How: Exited}
	}
	if err := ExitsUntold(); (err == nil) != tells {
		t.Errorf("the kernel tells: %v; predicted: %v", tells, err)
	}
}

func TestUntoldBefore615(t *testing.T) {
	tests := []struct{ release, want string }{
		{"6.15.0", ""},
		{"6.15", ""},
		{"6.15.0-rc1+", ""},
		{"6.18.44-fc-v669", ""},
		{"7.0.0", ""},
		{"10.2-generic", ""},
		{"6.14.11-300.fc42.x86_64", "kernels before Linux 6.15 do not tell, and this is 6.14"},
		{"6.1.0-28-amd64", "kernels before Linux 6.15 do not tell, and this is 6.1"},
		{"5.15.167.4-microsoft-standard-WSL2", "kernels before Linux 6.15 do not tell, and this is 5.15"},
		{"4.4.0", "kernels before Linux 6.15 do not tell, and this is 4.4"},
		{"", `the kernel's version "" cannot be read`},
		{"next\n-6.20", `the kernel's version "next -6.20" cannot be read`},
	}
	for _, tt := range tests {
		got := checkRelease(tt.release)
		if got == nil {
			got = errors.New("")
		}
		if got.Error() != tt.want {
			t.Errorf("%q: %v, want %q", tt.release, got, tt.want)
		}
	}
}
