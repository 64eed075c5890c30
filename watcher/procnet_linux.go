package watcher

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// listProc appends the listening sockets in /proc/net/tcp and tcp6 (proc_net(5)) to rows. The kernel writes these files
// a page at a time, so a socket can be missing if others open or close meanwhile.
func listProc(rows []row) (result []row, parted bool, err error) {
	err = readProc("tcp", func(in io.Reader) (err error) {
		rows, err = parseProc(in, rows)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return rows, true, nil
}

// readProc calls read with each file in /proc/net for a protocol, "tcp" or "udp". It opens the files anew each time,
// because some kernels (6.6.102, 6.12.42, 6.14.0 and later ones) fail to seek in them.
func readProc(protocol string, read func(io.Reader) error) error {
	for _, name := range []string{"/proc/net/" + protocol, "/proc/net/" + protocol + "6"} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, "6") {
			continue // no IPv6 in this kernel
		}
		if err != nil {
			return fmt.Errorf("list %s sockets: %w", strings.ToUpper(protocol), err)
		}
		err = read(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("list %s sockets: %s: %w", strings.ToUpper(protocol), name, err)
		}
	}
	return nil
}

// parseProc appends the listening sockets in such a file to rows. They come first in the file.
func parseProc(in io.Reader, rows []row) ([]row, error) {
	err := eachProcLine(in, func(line string) (more bool, err error) {
		r, listening, err := parseProcLine(line)
		if listening && r.port != 0 {
			rows = append(rows, r)
		}
		return listening, err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// eachProcLine calls visit with each line after the heading, until visit returns false or an error.
func eachProcLine(in io.Reader, visit func(line string) (more bool, err error)) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() { // the heading
		if lines.Err() != nil {
			return lines.Err()
		}
		return errors.New("the file is empty")
	}
	for lines.Scan() {
		if more, err := visit(lines.Text()); err != nil || !more {
			return err
		}
	}
	return lines.Err()
}

// parseProcLine reads one line of the form "sl local_address rem_address st … uid timeout inode …".
func parseProcLine(line string) (r row, listening bool, err error) {
	fields, err := procFields(line)
	if err != nil || fields[3] != "0A" {
		return row{}, false, err
	}
	r, err = parseProcRow(fields)
	return r, err == nil, err
}

// procFields returns the fields of such a line. The line is whole up to the inode.
func procFields(line string) ([]string, error) {
	fields := strings.Fields(line)
	if len(fields) < 11 { // a field after the inode shows that the inode is whole
		return nil, fmt.Errorf("a line of %d fields", len(fields))
	}
	return fields, nil
}

// parseProcRow reads the fields of a row, for a socket in any state.
func parseProcRow(fields []string) (row, error) {
	local, err := parseProcAddress(fields[1])
	if err != nil {
		return row{}, err
	}
	uid, err := strconv.ParseUint(fields[7], 10, 32)
	if err != nil {
		return row{}, fmt.Errorf("uid %q", fields[7])
	}
	inode, err := strconv.ParseUint(fields[9], 10, 32)
	if err != nil {
		return row{}, fmt.Errorf("inode %q", fields[9])
	}
	return row{addr: local.Addr(), port: local.Port(), uid: uint32(uid), inode: uint32(inode)}, nil
}

// parseProcAddress reads an address and a port, and unmaps the address.
func parseProcAddress(field string) (netip.AddrPort, error) {
	addr, port, ok := strings.Cut(field, ":")
	words, err := hex.DecodeString(addr)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", field)
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", field)
	}
	switch len(words) { // 32-bit words in native order, each with four bytes in network order
	case 4, 16:
		for i := 0; i < len(words); i += 4 {
			binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
		}
	default:
		return netip.AddrPort{}, fmt.Errorf("address %q", field)
	}
	ip, _ := netip.AddrFromSlice(words)
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), nil
}
