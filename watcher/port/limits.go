package port

import (
	"bytes"
	"cmp"
	"slices"
	"strconv"
)

// parseUnprivileged reads ip_unprivileged_port_start (ip(7)), the first port for ordinary users, and returns the ports
// below it. It returns nil if the text is no port. With 0 or 1 there are no privileged ports.
func parseUnprivileged(text []byte) Ranges {
	first, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 16)
	switch {
	case err != nil:
		return nil
	case first <= 1:
		return Ranges{}
	}
	return Ranges{{1, uint16(first) - 1}}
}

// parseReserved reads ip_local_reserved_ports, such as "8080,9148,30000-30010" (ip-sysctl in the kernel's
// documentation). It returns nil for a text in another form.
func parseReserved(text []byte) Ranges {
	ranges := Ranges{}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return ranges
	}
	for item := range bytes.SplitSeq(text, []byte(",")) {
		first, last, ok := bytes.Cut(item, []byte("-"))
		if !ok {
			last = first
		}
		r, ok := rangeOf(first, last)
		if !ok {
			return nil
		}
		ranges = append(ranges, r)
	}
	return ranges
}

// parseExcluded reads the output of "netsh interface ipv4 show excludedportrange tcp". Below a heading and a line of
// dashes, each line has the first and the last port of a range. An asterisk marks the ranges that an administrator
// withheld. The others are reserved. The words are in the language of the console, so parseExcluded reads only dashes,
// numbers and asterisks. Both results are nil if the text has another form.
func parseExcluded(text []byte) (reserved, withheld Ranges) {
	var ruled bool // the line of dashes is above
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 2 && isRule(fields[0]) && isRule(fields[1]) {
			ruled, reserved, withheld = true, Ranges{}, Ranges{}
			continue
		}
		if !ruled || len(fields) < 2 || !isNumber(fields[0]) || !isNumber(fields[1]) {
			continue
		}
		r, ok := rangeOf(fields[0], fields[1])
		switch {
		case !ok:
			return nil, nil
		case len(fields) == 2:
			reserved = append(reserved, r)
		case len(fields) == 3 && string(fields[2]) == "*":
			withheld = append(withheld, r)
		default:
			return nil, nil
		}
	}
	return reserved, withheld
}

func isRule(field []byte) bool { return len(bytes.Trim(field, "-")) == 0 }

func isNumber(field []byte) bool { return len(bytes.Trim(field, "0123456789")) == 0 }

// rangeOf returns the range from one port number to another, or false if that is no range.
func rangeOf(first, last []byte) (Range, bool) {
	from, err := strconv.ParseUint(string(first), 10, 16)
	to, err2 := strconv.ParseUint(string(last), 10, 16)
	if err != nil || err2 != nil || from > to {
		return Range{}, false
	}
	return Range{uint16(from), uint16(to)}, true
}

// merge returns the ranges of both in ascending order, without duplicates. It returns nil if both are nil.
func merge(a, b Ranges) Ranges {
	all := slices.Concat(a, b)
	if all == nil && (a != nil || b != nil) {
		return Ranges{}
	}
	slices.SortFunc(all, func(r, s Range) int {
		return cmp.Or(cmp.Compare(r.First, s.First), cmp.Compare(r.Last, s.Last))
	})
	return slices.Compact(all)
}
