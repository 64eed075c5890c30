package port

import (
	"bytes"
	"strconv"
)

// span returns first and last as ports, or false if they are not a range of ports.
func span(first, last uint64) (uint16, uint16, bool) {
	if first < 1 || last > 65535 || first > last {
		return 0, 0, false
	}
	return uint16(first), uint16(last), true
}

// parseRange reads ip_local_port_range (ip(7)): the first and the last port.
func parseRange(text []byte) (first, last uint16, ok bool) {
	fields := bytes.Fields(text)
	if len(fields) != 2 {
		return 0, 0, false
	}
	from, err := strconv.ParseUint(string(fields[0]), 10, 64)
	to, err2 := strconv.ParseUint(string(fields[1]), 10, 64)
	if err != nil || err2 != nil {
		return 0, 0, false
	}
	return span(from, to)
}

// parseNetsh reads the output of "netsh interface ipv4 show dynamicport tcp". A heading comes first, then two lines
// that end in a colon and a number: the first port, and the number of ports. The words are in the language and the
// encoding of the console, so parseNetsh reads only the numbers. It rejects a text with a third number.
func parseNetsh(text []byte) (first, last uint16, ok bool) {
	var numbers []uint64
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if n, err := strconv.ParseUint(string(fields[len(fields)-1]), 10, 32); err == nil {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) != 2 || numbers[1] == 0 {
		return 0, 0, false
	}
	return span(numbers[0], numbers[0]+numbers[1]-1)
}
