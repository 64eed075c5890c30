package terminal

import (
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"porttray/watcher/owner"
)

// A style holds the width and the use of colour for an output.
type style struct {
	width  int // columns; 0 if there is no limit
	colour bool
}

// styleOf returns the style for out. NO_COLOR turns colours off, see https://no-color.org. COLUMNS overrides the
// width of the terminal.
func styleOf(out io.Writer) style {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return style{}
	}
	s := style{colour: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		s.width = n
	} else if n, _, err := term.GetSize(int(file.Fd())); err == nil {
		s.width = n
	}
	return s
}

// Parameters of the terminal's SGR sequence (ECMA-48).
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint adds an SGR parameter to text, if s has colour.
func (s style) paint(text, how string) string {
	if !s.colour || text == "" || how == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[0m"
}

// cellWidth returns the width of text in columns.
func cellWidth(text string) int { return runewidth.StringWidth(text) }

// cut shortens text to width columns.
func cut(text string, width int) string { return runewidth.Truncate(text, max(width, 1), "…") }

// wrap splits text into lines of at most width columns. A longer word has its own line.
func wrap(text string, width int) []string {
	var lines []string
	line, used := "", 0
	for word := range strings.FieldsSeq(text) {
		n := cellWidth(word)
		if line != "" && used+1+n > width {
			lines = append(lines, line)
			line, used = "", 0
		}
		if line != "" {
			line += " "
			used++
		}
		line += word
		used += n
	}
	return append(lines, line)
}

// clean returns untrusted text without control characters.
func clean(s string) string { return owner.Printable(s, 0) }

// leftToRight adds direction marks, so that each line reads from left to right; see owner.LeftToRight. Clean and cut
// the text before, and paint it after. Commands and paths that people copy get no marks.
func leftToRight(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = owner.LeftToRight(line)
	}
	return strings.Join(lines, "\n")
}

// dash returns s, or "-" if s is empty.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
