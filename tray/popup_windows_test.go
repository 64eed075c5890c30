package tray

import (
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func TestFill(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"with room to spare", "a·b", "a·b"},
		{"just enough", strings.Repeat("a", 7), "aaaaaaa"},
		{"too long", strings.Repeat("a", 8), "aaaaaaa"},
		{"a character that does not fit", "aaaaaa🙂", "aaaaaa"},
		{"a character that just fits", "aaaaa🙂y", "aaaaa🙂"},
	} {
		var field [8]uint16
		fill(field[:], tt.text)
		if got := windows.UTF16ToString(field[:]); got != tt.want || field[7] != 0 {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}
