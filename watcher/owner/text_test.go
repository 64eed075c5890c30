package owner

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	tests := []struct {
		name, s string
		max     int
		want    string
	}{
		{"plain", "node", 0, "node"},
		{"empty", "", 5, ""},
		{"letters of all kinds", "žluťoučký 服务器 сервер 🐘 é", 0, "žluťoučký 服务器 сервер 🐘 é"},
		{"lines", "one\ntwo\r\nthree\u2028four\u2029five\u0085six", 0, "one two three four five six"},
		{"tabs and other space", "a\t\tb\vc\fd\u00a0e\u3000f", 0, "a b c d e f"},
		{"space around", "  \n a \t ", 0, "a"},
		{"only space", " \n\t\u2028 ", 0, ""},
		{"escape sequences", "a\x1b[31mred\x1b[0m\x1b]0;title\ab", 0, "a [31mred [0m ]0;title b"},
		{"C1 controls", "a\u009b31mb\u0090c", 0, "a 31mb c"},
		{"NUL and delete", "a\x00b\x7fc", 0, "a b c"},
		{"direction of writing", "a\u202egnp.exe\u202c \u2066b\u2069\u200e\u200f\u061c", 0, "agnp.exe b"},
		{"invisible", "a\u200bb\u200dc\ufeffd\u00ade\U000e0041", 0, "abcde"},
		{"invisible between spaces", "a \u200b b", 0, "a b"},
		{"invalid UTF-8", "a\xff\xc3b", 0, "a\ufffd\ufffdb"},
		{"surrogates and private use", "a\xed\xa0\x80\ue000", 0, "a\ufffd\ufffd\ufffd\ufffd"},
		{"blank letters", "a\u115f\u3164b\u2800c\ufff0", 0, "ab c"},
		{"variation selectors", "a\ufe0fb\U000e0100", 0, "ab"},
		{"a flood of marks", "a" + strings.Repeat("\u0301", 50) + "b\u0301", 0, "a\u0301\u0301\u0301b\u0301"},
		{"marks on nothing", "\u20e0\u0338a \u20ddb", 0, "a b"},
		{"marks as languages have them", "ế e\u0302\u0301 ทั้ง क्षि", 0, "ế e\u0302\u0301 ทั้ง क्षि"},
		{"short enough", "abcde", 5, "abcde"},
		{"too long", "abcdef", 5, "abcd…"},
		{"too long in bytes only", "ääääá", 5, "ääääá"},
		{"cut in characters", "äöüäöü", 5, "äöüä…"},
		{"cut at a space", "abc def", 5, "abc…"},
		{"space at the end does not count", "abcde   ", 5, "abcde"},
		{"what is dropped does not count", "a\u200bb\u200bc\u200bd\u200be", 5, "abcde"},
		{"one character", "ab", 1, "…"},
		{"negative", "abcdef", -1, "abcdef"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Printable(tt.s, tt.max); got != tt.want {
				t.Errorf("Printable(%q, %d) = %q, want %q", tt.s, tt.max, got, tt.want)
			}
		})
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("node", 0)
	f.Add("a\x1b[31m\nb\u202ec\xffd e", 5)
	f.Add(" \u200b\U000e0001 ", 1)
	f.Add(strings.Repeat("ä ", 50), 20)
	f.Fuzz(func(t *testing.T, s string, max int) {
		got := Printable(s, max)
		n := utf8.RuneCountInString(got)
		if !utf8.ValidString(got) || max > 0 && n > max {
			t.Errorf("Printable(%q, %d) = %q: %d characters", s, max, got, n)
		}
		marks := 0
		for _, r := range got {
			if marks++; !unicode.In(r, unicode.Mn, unicode.Me) {
				marks = 0
			}
			if marks > 3 || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) {
				t.Errorf("Printable(%q, %d) = %q, with %U", s, max, got, r)
			}
			if unicode.IsControl(r) || r != ' ' && unicode.IsSpace(r) ||
				unicode.In(r, unicode.Cf, unicode.Cs, unicode.Co, unicode.Bidi_Control) {
				t.Errorf("Printable(%q, %d) = %q, with %U", s, max, got, r)
			}
		}
		if strings.TrimSpace(got) != got || strings.Contains(got, "  ") {
			t.Errorf("Printable(%q, %d) = %q, with space to spare", s, max, got)
		}
		if again := Printable(got, max); again != got {
			t.Errorf("Printable(%q, %d) = %q, but Printable of that is %q", s, max, got, again)
		}
		if whole := Printable(s, 0); max > 0 && utf8.RuneCountInString(whole) <= max && got != whole {
			t.Errorf("Printable(%q, %d) = %q, want %q", s, max, got, whole)
		}
	})
}

func TestShortDir(t *testing.T) {
	tests := []struct{ home, dir, want string }{
		{"/home/ann", "/home/ann", "~"},
		{"/home/ann", "/home/ann/src/shop", "~/src/shop"},
		{"/home/ann", "/home/anna", "/home/anna"},
		{"/home/ann", "/home", "/home"},
		{"/home/ann", "/srv/home/ann", "/srv/home/ann"},
		{"/home/ann", "", ""},
		{"/", "/srv", "/srv"},
		{"", "/srv", "/srv"},
	}
	for _, tt := range tests {
		t.Setenv("HOME", filepath.FromSlash(tt.home))
		t.Setenv("USERPROFILE", filepath.FromSlash(tt.home)) // Windows
		dir, want := filepath.FromSlash(tt.dir), filepath.FromSlash(tt.want)
		if got := ShortDir(dir); got != want {
			t.Errorf("ShortDir(%q) = %q with the home directory %q, want %q", dir, got, tt.home, want)
		}
	}
}

func TestNumbered(t *testing.T) {
	for name, want := range map[string]string{
		"node":            "node (PID 42)",
		"node (PID 1)":    "“node (PID 1)” (PID 42)",
		"(sd-pam)":        "“(sd-pam)” (PID 42)",
		"a” (PID 1) “b":   "“a' (PID 1) 'b” (PID 42)",
		"unnamed process": "unnamed process (PID 42)",
	} {
		if got := Numbered(name, 42); got != want {
			t.Errorf("Numbered(%q) = %q, want %q", name, got, want)
		}
	}
}
