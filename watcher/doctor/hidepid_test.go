package doctor

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// mounted returns a line of /proc/self/mountinfo for a mount.
func mounted(at, kind, options string) string {
	return "27 1 0:22 / " + at + " rw,nosuid shared:12 master:1 - " + kind + " proc " + options + "\n"
}

func FuzzParseHidepid(f *testing.F) {
	f.Add("", "rw,hidepid=2")
	f.Add(mounted("/", "ext4", "rw"), "rw,hidepid=invisible,gid=4")
	f.Add(mounted("/proc", "proc", "rw,hidepid=1")+mounted("/proc", "tmpfs", "rw"), "rw")
	f.Add("a b c d /proc f - proc\n - - \n", "hidepid=0")
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		f.Add(string(text), "rw")
	}
	f.Fuzz(func(t *testing.T, before, options string) {
		if got := parseHidepid(before); got != "" && (!strings.Contains(before, got) ||
			!strings.HasPrefix(got, "hidepid=")) {
			t.Errorf("%q: got %q", before, got)
		}
		if strings.ContainsFunc(options, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || options == "" {
			return // the kernel escapes these as octal numbers
		}
		// The last mount at /proc counts, despite earlier mounts and later mounts elsewhere.
		text := strings.TrimRight(before, "\n") + "\n" + mounted("/proc", "proc", options) +
			mounted("/proc/sys", "proc", "rw,hidepid=2")
		want := ""
		for _, o := range strings.Split(options, ",") {
			if strings.HasPrefix(o, "hidepid=") && !slices.Contains([]string{"hidepid=0", "hidepid=off"}, o) {
				want = o
			}
		}
		if got := parseHidepid(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}
