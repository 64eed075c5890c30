package owner

import (
	"errors"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadExit(t *testing.T) {
	const old = unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS | unix.PIDFD_INFO_CGROUPID
	tests := []struct {
		name  string
		info  unix.PidfdInfo
		err   error
		exit  Exit
		stage stage
	}{
		{"reaped", unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT, Exit_code: 3 << 8}, nil, Exit{How: Exited, Status: 3},
			final},
		{"reaped, and more is told", unix.PidfdInfo{Mask: old | unix.PIDFD_INFO_EXIT}, nil, Exit{How: Exited}, final},
		{"a zombie", unix.PidfdInfo{Mask: old}, nil, Exit{}, zombie},
		{"a status that does not count", unix.PidfdInfo{Mask: old, Exit_code: 9}, nil, Exit{}, zombie},
		{"Linux 6.14, reaped", unix.PidfdInfo{}, unix.ESRCH, Exit{}, final},
		{"Linux 6.12", unix.PidfdInfo{}, unix.ENOTTY, Exit{}, final},
		{"Linux 6.8", unix.PidfdInfo{}, unix.EINVAL, Exit{}, final},
		{"a sandbox", unix.PidfdInfo{}, unix.EPERM, Exit{}, final},
		{"an error with an answer", unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT, Exit_code: 9}, unix.EREMOTE, Exit{},
			final},
	}
	for _, tt := range tests {
		if exit, stage := readExit(tt.info, tt.err); exit != tt.exit || stage != tt.stage {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, exit, stage, tt.exit, tt.stage)
		}
	}
}

func TestDecodeStatus(t *testing.T) {
	const core = 0x80
	tests := []struct {
		status syscall.WaitStatus
		want   Exit
		text   string
	}{
		{0, Exit{How: Exited}, "exited with status 0"},
		{1 << 8, Exit{How: Exited, Status: 1}, "exited with status 1"},
		{255 << 8, Exit{How: Exited, Status: 255}, "exited with status 255"},
		{9, Exit{How: Killed, Signal: "SIGKILL"}, "killed by SIGKILL"},
		{15, Exit{How: Killed, Signal: "SIGTERM"}, "killed by SIGTERM"},
		{11 | core, Exit{How: Killed, Signal: "SIGSEGV"}, "killed by SIGSEGV"},
		{6 | core, Exit{How: Killed, Signal: "SIGABRT"}, "killed by SIGABRT"},
		{42, Exit{How: Killed, Signal: "signal 42"}, "killed by signal 42"},
		{0x7f | 19<<8, Exit{}, "ended"}, // stopped
		{0xffff, Exit{}, "ended"},       // continued
	}
	for _, tt := range tests {
		if got := decodeStatus(tt.status); got != tt.want || got.String() != tt.text {
			t.Errorf("%#x: got %+v, %q, want %+v, %q", uint32(tt.status), got, got, tt.want, tt.text)
		}
	}
}

// TestExitOfNothing asks about files that are no pidfds.
func TestExitOfNothing(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	for _, fd := range []int{null, -1} {
		if exit, stage := exitOf(fd); exit != (Exit{}) || stage != final {
			t.Errorf("file %d: got %+v, %v", fd, exit, stage)
		}
	}
	if _, err := pidfdInfo(null); errors.Is(err, unix.EFAULT) {
		t.Error(err)
	}
}
