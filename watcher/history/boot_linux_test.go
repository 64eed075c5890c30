package history

import (
	"os/exec"
	"strings"
	"testing"
)

func TestBoot(t *testing.T) {
	want, err := exec.Command("cat", "/proc/sys/kernel/random/boot_id").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := boot(); got != strings.TrimSpace(string(want)) || len(got) != 36 || boot() != got {
		t.Errorf("got %q, want %q", got, want)
	}
}
