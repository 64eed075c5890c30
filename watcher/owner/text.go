package owner

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable makes text that came from a process fit to show on one line. Runs of space, line breaks and controls become one
// space; format characters (invisible ones and those that turn the direction of writing) are dropped; what is no character at
// all becomes U+FFFD; and what is longer than max characters ends in an ellipsis. A max of 0 or less means no limit.
func Printable(s string, max int) string {
	var b strings.Builder
	n, space := 0, false
	for _, r := range s {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			space = n > 0
			continue
		}
		if unicode.Is(unicode.Cf, r) {
			continue
		}
		if !unicode.IsGraphic(r) {
			r = utf8.RuneError
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		b.WriteRune(r)
		n++
		if max > 0 && n > max {
			break
		}
	}
	return shorten(b.String(), max)
}

// shorten cuts s to max characters, the last of which is then an ellipsis.
func shorten(s string, max int) string {
	if max <= 0 || utf8.RuneCountInString(s) <= max {
		return s
	}
	runes := []rune(s)
	return strings.TrimRightFunc(string(runes[:max-1]), unicode.IsSpace) + "…"
}

// ShortDir returns dir as people write it, with ~ for this user's home directory.
func ShortDir(dir string) string {
	home, err := os.UserHomeDir()
	if home = filepath.Clean(home); err != nil || home == string(filepath.Separator) {
		return dir
	}
	if dir == home {
		return "~"
	}
	if rest, ok := strings.CutPrefix(dir, home+string(filepath.Separator)); ok {
		return "~" + string(filepath.Separator) + rest
	}
	return dir
}
