package owner

import (
	"strings"
	"unicode"
)

// The marks of the Unicode bidirectional algorithm that LeftToRight adds. They have no width.
const (
	leftToRightMark  = '\u200e'
	firstStrongStart = '\u2068' // FIRST STRONG ISOLATE
	isolateEnd       = '\u2069' // POP DIRECTIONAL ISOLATE
)

// rightToLeft holds the blocks that Unicode keeps for scripts written from right to left, with their digits, see
// https://www.unicode.org/Public/UCD/latest/ucd/extracted/DerivedBidiClass.txt.
var rightToLeft = &unicode.RangeTable{
	R16: []unicode.Range16{{0x0590, 0x08ff, 1}, {0xfb1d, 0xfdff, 1}, {0xfe70, 0xfefe, 1}},
	R32: []unicode.Range32{{0x10800, 0x10fff, 1}, {0x1e800, 0x1efff, 1}},
}

// LeftToRight adds marks to a line with Arabic, Hebrew or similar letters, so that the line as a whole reads from left
// to right. Each word with such letters, or several in a row, becomes an isolate: it turns nothing around it, so a port
// or a PID stays where it is. The line must be fit to show, as from Printable. A line without such letters is returned
// unchanged. LeftToRight comes last: what cuts or cleans a line afterwards can take a mark away. It is not for text
// that somebody copies, such as a command.
func LeftToRight(line string) string {
	if !strings.ContainsFunc(line, isRightToLeft) {
		return line
	}
	var b strings.Builder
	b.WriteRune(leftToRightMark)
	runes := []rune(line)
	for i := 0; i < len(runes); {
		n := phrase(runes[i:])
		if n == 0 {
			n = max(1, word(runes[i:]))
			b.WriteString(string(runes[i : i+n]))
		} else {
			b.WriteRune(firstStrongStart)
			b.WriteString(string(runes[i : i+n]))
			b.WriteRune(isolateEnd)
		}
		i += n
	}
	return b.String()
}

func isRightToLeft(r rune) bool { return unicode.Is(rightToLeft, r) }

// phrase returns how many characters at the start of text are words with letters written from right to left. Between
// two such words is one space. Other words end the phrase, and a number that stands by itself is one of them.
func phrase(text []rune) int {
	end := 0
	for next := 0; ; next = end + 1 {
		n := word(text[next:])
		if !strings.ContainsFunc(string(text[next:next+n]), isRightToLeft) {
			return end
		}
		end = next + n
		if end+1 >= len(text) || text[end] != ' ' {
			return end
		}
	}
}

// word returns how many characters at the start of text are one word: letters, digits and their marks, and such
// punctuation as stands between two of them in a name. The ellipsis of a shortened name belongs to it.
func word(text []rune) int {
	end := 0
	for i, r := range text {
		switch {
		case unicode.In(r, unicode.L, unicode.M, unicode.N), isRightToLeft(r):
			end = i + 1
		case r == '…':
			return i + 1
		case !strings.ContainsRune("-_.'’+&@", r):
			return end
		}
	}
	return end
}
