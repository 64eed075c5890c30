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

// listProc appends the listening sockets in /proc/net/tcp and tcp6 (proc_net(5)) to rows. The kernel writes those files a page
// at a time, so a socket can be missing when others open or close meanwhile. The files are opened anew each time, because some
// kernels (6.6.102, 6.12.42, 6.14.0 and those after) fail to seek in them.
func listProc(rows []row) (result []row, parted bool, err error) {
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, "6") {
			continue // no IPv6 in this kernel
		}
		if err != nil {
			return nil, false, fmt.Errorf("list TCP sockets: %w", err)
		}
		rows, err = parseProc(f, rows)
		f.Close()
		if err != nil {
			return nil, false, fmt.Errorf("list TCP sockets: %s: %w", name, err)
		}
	}
	return rows, true, nil
}

// parseProc appends the listening sockets in such a file to rows. They come first; it stops at the first that is not one.
func parseProc(in io.Reader, rows []row) ([]row, error) {
	lines := bufio.NewScanner(in)
	if !lines.Scan() { // the heading
		if lines.Err() != nil {
			return nil, lines.Err()
		}
		return nil, errors.New("the file is empty")
	}
	for lines.Scan() {
		r, listening, err := parseProcLine(lines.Text())
		if err != nil {
			return nil, err
		}
		if !listening {
			break
		}
		if r.port != 0 {
			rows = append(rows, r)
		}
	}
	return rows, lines.Err()
}

// parseProcLine reads one line of the form "sl local_address rem_address st … uid timeout inode …".
func parseProcLine(line string) (r row, listening bool, err error) {
	fields := strings.Fields(line)
	if len(fields) < 11 { // with what follows the inode, which is then whole
		return row{}, false, fmt.Errorf("a line of %d fields", len(fields))
	}
	if fields[3] != "0A" {
		return row{}, false, nil
	}
	addr, port, ok := strings.Cut(fields[1], ":")
	words, err := hex.DecodeString(addr)
	if !ok || err != nil {
		return row{}, false, fmt.Errorf("address %q", fields[1])
	}
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return row{}, false, fmt.Errorf("address %q", fields[1])
	}
	switch len(words) { // 32-bit words in the machine's order, each of which holds four bytes in the network's
	case 4, 16:
		for i := 0; i < len(words); i += 4 {
			binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
		}
	default:
		return row{}, false, fmt.Errorf("address %q", fields[1])
	}
	ip, _ := netip.AddrFromSlice(words)
	uid, err := strconv.ParseUint(fields[7], 10, 32)
	if err != nil {
		return row{}, false, fmt.Errorf("uid %q", fields[7])
	}
	inode, err := strconv.ParseUint(fields[9], 10, 32)
	if err != nil {
		return row{}, false, fmt.Errorf("inode %q", fields[9])
	}
	return row{addr: ip.Unmap(), port: uint16(number), uid: uint32(uid), inode: uint32(inode)}, true, nil
}
