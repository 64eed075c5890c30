package owner

import (
	"strings"
	"unicode"
)

// LeftToRight adds these marks of the Unicode bidirectional algorithm. They have no width.
const (
	leftToRightMark  = '\u200e'
	firstStrongStart = '\u2068' // FIRST STRONG ISOLATE
	isolateEnd       = '\u2069' // POP DIRECTIONAL ISOLATE
)

// rightToLeft holds the Unicode blocks for scripts written from right to left, with their digits. See
// https://www.unicode.org/Public/UCD/latest/ucd/extracted/DerivedBidiClass.txt.
var rightToLeft = &unicode.RangeTable{
	R16: []unicode.Range16{{0x0590, 0x08ff, 1}, {0xfb1d, 0xfdff, 1}, {0xfe70, 0xfefe, 1}},
	R32: []unicode.Range32{{0x10800, 0x10fff, 1}, {0x1e800, 0x1efff, 1}},
}

// LeftToRight adds marks to a line with Arabic, Hebrew or similar letters, so that the whole line reads from left to
// right. It makes an isolate of each word with such letters, or of several in a row. An isolate does not reorder the
// text around it, so a port or a PID keeps its position. The line must be fit to show, as from Printable. A line
// without such letters is returned unchanged. Call LeftToRight last, because cutting or cleaning a line can remove a
// mark. Do not use it for text that people copy, such as a command.
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

// phrase returns the length in characters of the words at the start of text that are written from right to left. One
// space separates two such words. Any other word ends the phrase, a number included.
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

// word returns the length in characters of the word at the start of text. A word has letters, digits and their marks,
// and punctuation between them as in names. The ellipsis of a shortened name is part of it.
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
