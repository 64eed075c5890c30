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

// holders tells of a port that cannot be bound at an address whether it lingers there, and whether it could be bound with
// SO_REUSEADDR.
//
// Linux lets a socket with that option have a port that others have which set it too and do not listen, whatever they do instead
// (inet_csk_bind_conflict in the kernel). So it does not tell whether those are connections that are over, or a program that will
// listen in a moment; and without the option on the other side, a connection that is over keeps everybody away. That is why the
// list of connections decides.
func holders(at netip.AddrPort) (lingers, reusable bool) {
	reusable = bind(at, true) == nil
	over := false
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		some, held, err := readConnections(name, at, reusable)
		if err != nil || held {
			return false, reusable // who holds it is not known, or is a program
		}
		over = over || some
	}
	return over, reusable
}

// readConnections looks through such a file. See findConnections.
func readConnections(name string, at netip.AddrPort, reusable bool) (over, held bool, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(name, "6") {
		return false, false, nil // no IPv6 in this kernel
	}
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	return findConnections(f, at, reusable)
}

// findConnections reports whether a file like /proc/net/tcp (proc_net(5)) has a socket at an address and a port that a program has
// open, and if not, whether it has connections there that none has open any more. Listeners do not matter if the port is reusable,
// because they would not have let it be.
func findConnections(in io.Reader, at netip.AddrPort, reusable bool) (over, held bool, err error) {
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
		case !inTheWay(addr, at.Addr()):
		case fields[3] == listening || fields[9] != "0": // the inode is that of an open file
			return false, true, nil
		default:
			over = true
		}
	}
}

// parseHex reads an address as those files have it: 32-bit words in the machine's order, each of which holds four bytes in the
// network's.
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

// inTheWay reports whether a socket at one address can be in the way of binding another. To the kernel, a connection of IPv6 is in
// the way of 0.0.0.0 unless its socket was for IPv6 only. Those files do not tell that, so it counts as one that is.
func inTheWay(one, other netip.Addr) bool {
	switch {
	case other.IsUnspecified() || one == netip.IPv6Unspecified():
		return true
	case one == netip.IPv4Unspecified():
		return other.Is4()
	}
	return one == other.WithZone("")
}
