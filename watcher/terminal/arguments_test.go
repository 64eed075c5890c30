package terminal

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"porttray/watcher/explain"
)

var aRange = regexp.MustCompile(`^:?([0-9]*)(-)?([0-9]*)$`)

// slowly is the reference parser for a port or a range. An ok argument has the form of one, but may be out of range.
func slowly(arg string) (first, last int, ok bool) {
	m := aRange.FindStringSubmatch(arg)
	if m == nil {
		return 0, 0, false
	}
	number := func(digits string) int {
		digits = strings.TrimLeft(digits, "0")
		n, err := strconv.Atoi(digits)
		if err != nil || len(digits) > 5 || n > 65535 {
			return 0
		}
		return n
	}
	first, last = number(m[1]), number(m[1])
	if m[2] != "" {
		last = number(m[3])
	}
	return first, last, true
}

func FuzzArguments(f *testing.F) {
	for _, arg := range []string{"3000", ":3000", "3000-3999", "9-8", "0", "65536", "-", "-5", "shop", "::1", "", " ",
		"+80", "00080", "1-", "Köln", "3000-3999-1", "\x1b[2J", "٣"} {
		f.Add(arg, uint16(3000))
	}
	f.Fuzz(func(t *testing.T, arg string, port uint16) {
		first, last, ranged := slowly(arg)
		right := ranged && first > 0 && first <= last

		p, err := portArgument(arg)
		if want := right && !strings.Contains(arg, "-"); (err == nil) != want || err == nil && int(p) != first {
			t.Errorf("%q: got the port %d, %v", arg, p, err)
		}
		if err != nil && !errors.As(err, new(usageError)) {
			t.Errorf("%q: got %T", arg, err)
		}

		fits, err := parseFilter([]string{arg})
		if blank := strings.TrimSpace(arg) == ""; (err == nil) != (!blank && (right || !ranged)) {
			t.Errorf("%q: got the filter %v, %v", arg, fits, err)
		}
		if err != nil {
			if !errors.As(err, new(usageError)) || fits != nil {
				t.Errorf("%q: got %T, along with %v", arg, err, fits)
			}
			return
		}
		named := explain.Listener{Port: port, Project: "x" + strings.ToUpper(arg) + "y"}
		if ranged {
			if got, want := fits[0](named), first <= int(port) && int(port) <= last; got != want {
				t.Errorf("%q fits port %d: %v, want %v", arg, port, got, want)
			}
			return
		}
		lower := strings.ToLower(arg) // not every upper-case character maps back to it
		if strings.ToLower(strings.ToUpper(arg)) == lower && !fits[0](named) || fits[0](explain.Listener{Port: port}) {
			t.Errorf("%q does not fit its own name, or fits none", arg)
		}
	})
}
