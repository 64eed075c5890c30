package port

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestRanges(t *testing.T) {
	some := Ranges{{1, 5}, {8080, 8080}, {65000, 65535}}
	tests := []struct {
		ranges     Ranges
		port       uint16
		yes, known bool
	}{
		{nil, 80, false, false},
		{Ranges{}, 80, false, true},
		{some, 0, false, true}, {some, 1, true, true}, {some, 5, true, true}, {some, 6, false, true},
		{some, 8079, false, true}, {some, 8080, true, true}, {some, 8081, false, true},
		{some, 64999, false, true}, {some, 65535, true, true},
	}
	for _, tt := range tests {
		if yes, known := tt.ranges.Has(tt.port); yes != tt.yes || known != tt.known {
			t.Errorf("%v: Has(%d) = %t, %t, want %t, %t", tt.ranges, tt.port, yes, known, tt.yes, tt.known)
		}
	}
}

// equal reports whether two Ranges are equal. Unknown ranges do not equal empty ones.
func equal(a, b Ranges) bool { return slices.Equal(a, b) && (a == nil) == (b == nil) }

func TestParseUnprivileged(t *testing.T) {
	tests := []struct {
		text string
		want Ranges
	}{
		{"1024\n", Ranges{{1, 1023}}}, {"80", Ranges{{1, 79}}},
		{"65535\n", Ranges{{1, 65534}}}, {"2\n", Ranges{{1, 1}}},
		{"1\n", Ranges{}}, {"0\n", Ranges{}},
		{"", nil}, {"-1\n", nil}, {"65536\n", nil}, {"1024 2048\n", nil}, {"x", nil},
	}
	for _, tt := range tests {
		if got := parseUnprivileged([]byte(tt.text)); !equal(got, tt.want) {
			t.Errorf("%q: got %#v, want %#v", tt.text, got, tt.want)
		}
	}
}

func TestParseReserved(t *testing.T) {
	tests := []struct {
		text string
		want Ranges
	}{
		{"\n", Ranges{}}, {"", Ranges{}},
		{"8080\n", Ranges{{8080, 8080}}},
		{"8080,9148,30000-30010\n", Ranges{{8080, 8080}, {9148, 9148}, {30000, 30010}}},
		{"0-65535\n", Ranges{{0, 65535}}},
		{"8080,\n", nil}, {",8080", nil}, {"8080-8079", nil}, {"8080-", nil},
		{"-8080", nil}, {"1-2-3", nil}, {"65536", nil}, {"8080 9148", nil},
	}
	for _, tt := range tests {
		if got := parseReserved([]byte(tt.text)); !equal(got, tt.want) {
			t.Errorf("%q: got %#v, want %#v", tt.text, got, tt.want)
		}
	}
}

// excluded is netsh's English output. Its ranges are from published questions about ports in use.
const excluded = "\r\nProtocol tcp Port Exclusion Ranges\r\n\r\n" +
	"Start Port    End Port      \r\n----------    --------      \r\n" +
	"      5357        5357      \r\n     49671       49770      \r\n" +
	"     50000       50059     *\r\n     61902       62001      \r\n" +
	"\r\n* - Administered port exclusions.\r\n\r\n"

// excludedGerman and excludedSpanish have the same form in other languages, in the console's code page. The Spanish
// heading is published. The German words are a translation of the English ones.
const (
	excludedGerman = "\r\nPortausschlussbereiche f\x81r das Protokoll \"tcp\"\r\n\r\n" +
		"Startport     Endport       \r\n----------    --------      \r\n" +
		"      5357        5357      \r\n     50000       50059     *\r\n\r\n* - Verwaltete Portausschl\x81sse.\r\n\r\n"
	excludedSpanish = "\r\nIntervalos de exclusi\xa2n de puertos de protocolo tcp\r\n\r\n" +
		"Puerto de inicio    Puerto final\r\n----------          --------\r\n" +
		"      1025        1124\r\n      1125        1224\r\n\r\n* - Exclusiones de puertos administrados.\r\n\r\n"
)

func TestParseExcluded(t *testing.T) {
	with := func(lines string) string {
		return strings.Replace(excluded, "      5357        5357      \r\n", lines, 1)
	}
	rest, one := Ranges{{49671, 49770}, {61902, 62001}}, Ranges{{50000, 50059}}
	tests := []struct {
		name, text         string
		reserved, withheld Ranges
	}{
		{"English", excluded, Ranges{{5357, 5357}, {49671, 49770}, {61902, 62001}}, one},
		{"German", excludedGerman, Ranges{{5357, 5357}}, one},
		{"Spanish", excludedSpanish, Ranges{{1025, 1124}, {1125, 1224}}, Ranges{}},
		{"none of one kind", "a  b\n---  ---\n 1 2\n", Ranges{{1, 2}}, Ranges{}},
		{"none", "Start Port    End Port\n----------    --------\n\n* - Administered port exclusions.\n",
			Ranges{}, Ranges{}},
		{"all ports", with(" 1 65535\n"), append(Ranges{{1, 65535}}, rest...), one},
		{"numbers above the table", "10 20\n" + excluded, Ranges{{5357, 5357}, {49671, 49770}, {61902, 62001}}, one},
		{"words in the table", with("seven eight\n7\n* 7 8\n"), rest, one},
		{"no table", "5357 5357\n50000 50059 *\n", nil, nil},
		{"no such port", with("5357 65536\n"), nil, nil},
		{"huge", with("5357 99999999999999999999\n"), nil, nil},
		{"the wrong way round", with("5358 5357\n"), nil, nil},
		{"another mark", with("5357 5357 +\n"), nil, nil},
		{"a third number", with("5357 5357 1\n"), nil, nil},
		{"the dynamic range", netsh, nil, nil},
		{"refused", "The requested operation requires elevation (Run as administrator).\r\n", nil, nil},
		{"empty", "", nil, nil},
	}
	for _, tt := range tests {
		reserved, withheld := parseExcluded([]byte(tt.text))
		if !equal(reserved, tt.reserved) || !equal(withheld, tt.withheld) {
			t.Errorf("%s: %q: got %#v, %#v, want %#v, %#v", tt.name, tt.text, reserved, withheld,
				tt.reserved, tt.withheld)
		}
	}
}

func TestMerge(t *testing.T) {
	a, b := Ranges{{5357, 5357}, {100, 199}}, Ranges{{100, 199}, {100, 150}}
	tests := []struct{ a, b, want Ranges }{
		{nil, nil, nil}, {nil, Ranges{}, Ranges{}}, {Ranges{}, nil, Ranges{}}, {Ranges{}, Ranges{}, Ranges{}},
		{a, nil, Ranges{{100, 199}, {5357, 5357}}}, {nil, b, Ranges{{100, 150}, {100, 199}}},
		{a, b, Ranges{{100, 150}, {100, 199}, {5357, 5357}}}, {a, a, Ranges{{100, 199}, {5357, 5357}}},
	}
	for _, tt := range tests {
		if got := merge(tt.a, tt.b); !equal(got, tt.want) {
			t.Errorf("%v and %v: got %#v, want %#v", tt.a, tt.b, got, tt.want)
		}
	}
}

func FuzzLimits(f *testing.F) {
	for _, text := range []string{
		excluded, excludedGerman, excludedSpanish, "1024\n", "8080,9148,30000-30010\n", "- -\n1 2\n3 4 *",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		reserved, withheld := parseExcluded(text)
		if (reserved == nil) != (withheld == nil) {
			t.Errorf("%q: got %#v, but %#v", text, reserved, withheld)
		}
		for name, ranges := range map[string]Ranges{
			"reserved": reserved, "withheld": withheld,
			"unprivileged": parseUnprivileged(text), "local": parseReserved(text),
		} {
			for _, r := range ranges {
				yes, known := ranges.Has(r.Last)
				inText := name == "unprivileged" || strings.Contains(string(text), fmt.Sprint(r.First))
				if r.First > r.Last || !yes || !known || !inText {
					t.Errorf("%s: %q: got %v", name, text, ranges)
				}
			}
		}
	})
}

// TestReadLimits asks this system. Its privileged ports must be known.
func TestReadLimits(t *testing.T) {
	s := Read()
	for name, ranges := range map[string]Ranges{
		"privileged": s.Privileged, "reserved": s.Reserved, "withheld": s.Withheld,
	} {
		for _, r := range ranges {
			if r.First > r.Last {
				t.Errorf("%s: %v", name, ranges)
			}
		}
	}
	if got, known := s.Privileged.Has(65535); got || !known {
		t.Errorf("port 65535: privileged: %t, known: %t", got, known)
	}
}
