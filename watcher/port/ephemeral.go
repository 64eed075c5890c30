package port

import (
	"bytes"
	"strconv"
)

// span returns first and last as ports, or false if they do not limit a range of them.
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

// parseNetsh reads what "netsh interface ipv4 show dynamicport tcp" prints. Below a heading it has two lines with a word and a
// number behind a colon: the first port, and how many there are. The words are in the language and the encoding of the console, so
// only the numbers count; a third number means that this is something else.
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
