package owner

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is the maximum number of combining marks on a character. No language needs more.
const maxMarks = 3

// Printable makes untrusted text fit to show on one line. Runs of space, line breaks and controls become one space. It
// drops invisible characters, among them all that change the direction of writing. It keeps only the first few marks on
// a character, because more would cover other text. Invalid characters become U+FFFD. Text longer than max characters
// ends in an ellipsis. A max of 0 or less means no limit.
func Printable(s string, max int) string {
	if isPlain(s, max) {
		return s
	}
	var b strings.Builder
	n, space, marks := 0, false, maxMarks
	for _, r := range s {
		switch {
		case isSpace(r):
			space, marks = n > 0, maxMarks // a space takes no marks
			continue
		case isInvisible(r):
			continue
		case unicode.In(r, unicode.Mn, unicode.Me):
			if marks++; marks > maxMarks {
				continue
			}
		default:
			marks = 0
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

// isPlain reports whether s is visible ASCII within max, like most names. Then Printable has nothing to do.
func isPlain(s string, max int) bool {
	if max > 0 && len(s) > max {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isSpace reports whether a character shows as space or not at all.
func isSpace(r rune) bool {
	const emptyBraille = 0x2800 // a pattern without a dot
	return unicode.IsSpace(r) || unicode.IsControl(r) || r == emptyBraille
}

// isInvisible reports whether a character shows nothing by itself. See
// https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Numbered returns a process's name and PID: "node (PID 4242)". The name must be fit to show. A name with parentheses
// is quoted: “node (PID 1)” (PID 4242).
func Numbered(name string, pid int32) string {
	if strings.ContainsAny(name, "()") {
		name = "“" + strings.NewReplacer("“", "'", "”", "'").Replace(name) + "”"
	}
	return fmt.Sprintf("%s (PID %d)", name, pid)
}

// NumberedAll names the first few processes: "node (PID 1), node (PID 2) and 7 more".
func NumberedAll(list []Process) string {
	const few = 4
	var names []string
	for _, p := range list[:min(few, len(list))] {
		names = append(names, Numbered(cmp.Or(Printable(p.Name, 24), "a process"), p.PID))
	}
	text := strings.Join(names, ", ")
	if more := len(list) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// shorten cuts s to max characters, including an ellipsis.
func shorten(s string, max int) string {
	if max <= 0 || utf8.RuneCountInString(s) <= max {
		return s
	}
	runes := []rune(s)
	return strings.TrimRightFunc(string(runes[:max-1]), unicode.IsSpace) + "…"
}

// ShortDir returns dir with ~ for this user's home directory.
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
