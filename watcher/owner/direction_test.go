package owner

import (
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/bidi"
)

// visible makes the marks readable: ‹ and › are the ends of an isolate, and ^ is the mark at the start.
var visible = strings.NewReplacer("\u200e", "^", "\u2068", "‹", "\u2069", "›")

func TestLeftToRight(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"empty", "", ""},
		{"Latin", "4001  shop · Vite  +2  ⚠", "4001  shop · Vite  +2  ⚠"},
		{"Chinese", "4001  服务器 2", "4001  服务器 2"},
		{"Arabic", "4001  مشروع · Vite", "^4001  ‹مشروع› · Vite"},
		{"Arabic with a hyphen", "4001  Python http.server · مشروع-تجريبي",
			"^4001  Python http.server · ‹مشروع-تجريبي›"},
		{"Arabic with digits", "4001  مشروع2 · Vite  +2", "^4001  ‹مشروع2› · Vite  +2"},
		{"Arabic with a number", "4001  مشروع 3000  +2", "^4001  ‹مشروع› 3000  +2"},
		{"a number between", "4001  مشروع 3000 تجريبي", "^4001  ‹مشروع› 3000 ‹تجريبي›"},
		{"Arabic digits", "4001  ٣٤٥", "^4001  ‹٣٤٥›"},
		{"Hebrew", "4001  חנות", "^4001  ‹חנות›"},
		{"Hebrew, several words", "4001  פרויקט שני חדש, not running", "^4001  ‹פרויקט שני חדש›, not running"},
		{"Hebrew with points", "4001  שָׁלוֹם ד׳", "^4001  ‹שָׁלוֹם ד׳›"},
		{"Hebrew in the PID's brackets", "חנות (PID 42)", "^‹חנות› (PID 42)"},
		{"Hebrew with brackets", "4001  חנות (ישן) [9]", "^4001  ‹חנות› (‹ישן›) [9]"},
		{"a name that looks like a row", "4001  חנות  3000  ד", "^4001  ‹חנות›  3000  ‹ד›"},
		{"mixed in a word", "4001  shop-חנות-api", "^4001  ‹shop-חנות-api›"},
		{"mixed words", "4001  חנות shop ד", "^4001  ‹חנות› shop ‹ד›"},
		{"at the start", "חנות (Vite :4001) is up", "^‹חנות› (Vite :4001) is up"},
		{"two names", "3000 is now חנות (was مشروع)", "^3000 is now ‹חנות› (was ‹مشروع›)"},
		{"a list", "3000 חנות, 3001 ד", "^3000 ‹חנות›, 3001 ‹ד›"},
		{"a path", "in ~/קוד/חנות/3", "^in ~/‹קוד›/‹חנות›/3"},
		{"a sentence", "Stop חנות.", "^Stop ‹חנות›."},
		{"shortened", "4001  חנות…  ⚠", "^4001  ‹חנות…›  ⚠"},
		{"Adlam", "4001  𞤀𞤁 2", "^4001  ‹𞤀𞤁› 2"},
		{"only punctuation", "4001 -- ..  ד", "^4001 -- ..  ‹ד›"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := visible.Replace(LeftToRight(tt.line)); got != tt.want {
				t.Errorf("LeftToRight(%q) = %q, want %q", tt.line, got, tt.want)
			}
		})
	}
}

// turns reports whether a character can reverse the order of its neighbours.
func turns(r rune) bool {
	p, _ := bidi.LookupRune(r)
	return p.Class() == bidi.R || p.Class() == bidi.AL || p.Class() == bidi.AN
}

func TestRightToLeftBlocks(t *testing.T) {
	for r := range rune(unicode.MaxRune + 1) {
		if turns(r) && unicode.IsGraphic(r) && !isRightToLeft(r) {
			t.Errorf("%U is missing", r)
		}
	}
}

// FuzzLeftToRight checks that the mark comes first, that isolates are closed, and that all characters of reverse order
// are in isolates. For the bidirectional algorithm an isolate is one neutral character.
func FuzzLeftToRight(f *testing.F) {
	for _, s := range []string{"4001  مشروع 2 · Vite", "חנות (3000", "ד -", "a…ד…3", "٣.٤-", "ש/ת\u0301"} {
		f.Add(s, 0)
		f.Add(s, 4)
	}
	f.Fuzz(func(t *testing.T, s string, max int) {
		line := Printable(s, max)
		got := LeftToRight(line)
		if bare := strings.NewReplacer("\u200e", "", "\u2068", "", "\u2069", "").Replace(got); bare != line {
			t.Errorf("LeftToRight(%q) = %q without its marks", line, bare)
		}
		if strings.ContainsFunc(line, turns) && !strings.HasPrefix(got, "\u200e") {
			t.Errorf("LeftToRight(%q) = %q: it does not begin with the mark", line, got)
		}
		inside := false
		for _, r := range got {
			switch {
			case r == '\u2068' && inside, r == '\u2069' && !inside:
				t.Errorf("LeftToRight(%q) = %q: isolates in isolates", line, got)
			case r == '\u2068', r == '\u2069':
				inside = !inside
			case turns(r) && !inside:
				t.Errorf("LeftToRight(%q) = %q: %U is in no isolate", line, got, r)
			}
		}
		if inside {
			t.Errorf("LeftToRight(%q) = %q: an isolate is open", line, got)
		}
	})
}
