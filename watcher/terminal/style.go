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

// A style says how text is to look: on a terminal it fits into its width, and is coloured unless the person wants none.
type style struct {
	width  int // columns; 0 if there is no limit
	colour bool
}

// styleOf returns the style for what is written to out. NO_COLOR is heeded, see https://no-color.org; COLUMNS counts before what the
// terminal says.
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

// The ways to set off text, as parameters of the terminal's SGR sequence (ECMA-48).
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint sets text off, where that is wanted.
func (s style) paint(text, how string) string {
	if !s.colour || text == "" || how == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[0m"
}

// cellWidth returns how many columns text takes.
func cellWidth(text string) int { return runewidth.StringWidth(text) }

// cut shortens text to so many columns.
func cut(text string, width int) string { return runewidth.Truncate(text, max(width, 1), "…") }

// wrap returns words in lines of at most width columns. A word that is longer has a line of its own.
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

// clean makes text that came from a process fit to show.
func clean(s string) string { return owner.Printable(s, 0) }

// leftToRight has each line of a text read from left to right, whatever letters are in it, see owner.LeftToRight. The text must be fit
// to show and cut already, and not yet painted. Commands and paths for people to copy stay without marks.
func leftToRight(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = owner.LeftToRight(line)
	}
	return strings.Join(lines, "\n")
}

// dash stands for what is not known.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
