package port

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
)

// holders examines a port after bind failed at an address. It reports whether the port lingers there, and whether bind
// would succeed with SO_REUSEADDR.
//
// On Linux two sockets with that option can share a port if the other one does not listen (inet_csk_bind_conflict in
// the kernel). The other socket may be a closed connection, or a program that will listen in a moment. If it lacks the
// option, even a closed connection blocks the port. So bind alone cannot decide, and holders reads the list of
// connections.
func holders(at netip.AddrPort) (lingers, reusable bool) {
	reusable = bind(at, true) == nil
	over := false
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		some, used, err := readConnections(name, at, reusable)
		if err != nil || used {
			return false, reusable // the holder is unknown, or is a program
		}
		over = over || some
	}
	return over, reusable
}

// readConnections opens a file for findConnections. A kernel without IPv6 has no tcp6 file and no such connections.
func readConnections(name string, at netip.AddrPort, reusable bool) (over, used bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, "6") {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	return findConnections(f, at, reusable)
}

// findConnections searches a file like /proc/net/tcp (proc_net(5)) for sockets that conflict with an address and a
// port. used reports that a program has one open. over reports that no program has, but closed connections are there.
// It skips listeners if the port is reusable: a conflicting listener would have made it not reusable.
func findConnections(in io.Reader, at netip.AddrPort, reusable bool) (over, used bool, err error) {
	const listening = "0A"
	port := fmt.Appendf(nil, ":%04X ", at.Port())
	for lines := bufio.NewScanner(in); ; {
		if !lines.Scan() {
			return over, false, lines.Err()
		}
		if !bytes.Contains(lines.Bytes(), port) {
			continue
		}
		// sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode …
		fields := strings.Fields(lines.Text())
		if len(fields) < 11 {
			return false, false, fmt.Errorf("a line of %d fields", len(fields))
		}
		local, here := strings.CutSuffix(fields[1], string(port[:5]))
		if !here || reusable && fields[3] == listening {
			continue
		}
		addr, ok := parseHex(local)
		if !ok {
			return false, false, fmt.Errorf("address %q", fields[1])
		}
		switch {
		case !conflicts(addr, at.Addr()):
		case fields[3] == listening || fields[9] != "0": // an inode: the file is open
			return false, true, nil
		default:
			over = true
		}
	}
}

// parseHex reads an address of such a file. It is printed as 32-bit words in the machine's byte order, but the bytes of
// each word are in network order.
func parseHex(text string) (netip.Addr, bool) {
	words, err := hex.DecodeString(text)
	if err != nil || len(words) != 4 && len(words) != 16 {
		return netip.Addr{}, false
	}
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	addr, ok := netip.AddrFromSlice(words)
	return addr.Unmap(), ok
}

// conflicts reports whether a socket at one address can block bind at another. In the kernel an IPv6 connection blocks
// 0.0.0.0 unless its socket was IPv6-only. The files do not show that, so conflicts assumes that it blocks.
func conflicts(one, other netip.Addr) bool {
	switch {
	case other.IsUnspecified() || one == netip.IPv6Unspecified():
		return true
	case one == netip.IPv4Unspecified():
		return other.Is4()
	}
	return one == other.WithZone("")
}
