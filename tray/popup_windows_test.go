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
		{"just enough", strings.Repeat("x", 7), "xxxxxxx"},
		{"too long", strings.Repeat("x", 8), "xxxxxxx"},
		{"a character that does not fit", "xxxxxx🙂", "xxxxxx"},
		{"a character that just fits", "xxxxx🙂y", "xxxxx🙂"},
	} {
		var field [8]uint16
		fill(field[:], tt.text)
		if got := windows.UTF16ToString(field[:]); got != tt.want || field[7] != 0 {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.text, got, tt.want)
		}
	}
}
