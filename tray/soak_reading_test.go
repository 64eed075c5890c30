//go:build linux && soak

package tray_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This is the slow reading of what listens: the text of /proc/PID/net/tcp and tcp6, and the open files of every process. It has nothing
// in common with the scans of the program.

// A holding is what one process listens on.
type holding struct {
	pid   int
	name  string
	dir   string
	ports map[uint16][]netip.Addr
}

// readHoldings returns what listens in the network of a process, by whom: of processes that share a socket, the one that no other of
// them has started.
func readHoldings(t testing.TB, inside int) []*holding {
	t.Helper()
	sockets := map[uint64]netip.AddrPort{} // by inode
	for _, file := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", inside, file))
		if os.IsNotExist(err) && file == "tcp6" {
			continue // this system has no IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			const listen = "0A" // TCP_LISTEN, see proc_pid_net(5)
			if len(fields) < 10 || fields[3] != listen {
				continue
			}
			inode, err := strconv.ParseUint(fields[9], 10, 64)
			if err != nil {
				t.Fatalf("%s: %q: %v", file, line, err)
			}
			sockets[inode] = parseAddress(t, fields[1])
		}
	}
	byPID := map[int]*holding{}
	for inode, holders := range holders(sockets, inside) {
		at := sockets[inode]
		for pid := range holders {
			if holders[parentOf(pid)] {
				continue
			}
			h := byPID[pid]
			if h == nil {
				h = &holding{pid: pid, ports: map[uint16][]netip.Addr{}}
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) // one that ends just now has neither; the next reading tells
				h.name = strings.TrimSuffix(string(name), "\n")
				h.dir, _ = os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
				byPID[pid] = h
			}
			h.ports[at.Port()] = append(h.ports[at.Port()], at.Addr())
		}
	}
	var all []*holding
	for _, h := range byPID {
		for port, addrs := range h.ports {
			slices.SortFunc(addrs, netip.Addr.Compare)
			h.ports[port] = slices.Compact(addrs)
		}
		all = append(all, h)
	}
	return all
}

// parseAddress reads "0100007F:1F90": four or sixteen bytes, each four of them in the order of the machine, and the port.
func parseAddress(t testing.TB, text string) netip.AddrPort {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(raw)%4 != 0 {
		t.Fatalf("%q is no address", text)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	if !ok {
		t.Fatalf("%q is no address", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number))
}

// holders returns which processes of a network hold each of its sockets.
func holders(sockets map[uint64]netip.AddrPort, inside int) map[uint64]map[int]bool {
	found := map[uint64]map[int]bool{}
	network, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", inside))
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd") // the pattern is valid
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if where, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || where != network {
			continue
		}
		files, _ := os.ReadDir(dir) // none of a process that has ended
		for _, f := range files {
			link, _ := os.Readlink(filepath.Join(dir, f.Name()))
			number, ok := strings.CutPrefix(link, "socket:[")
			inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			if _, listens := sockets[inode]; !ok || err != nil || !listens {
				continue
			}
			if found[inode] == nil {
				found[inode] = map[int]bool{}
			}
			found[inode][pid] = true
		}
	}
	return found
}

func parentOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	if fields := strings.Fields(rest); len(fields) > 1 {
		parent, _ := strconv.Atoi(fields[1])
		return parent
	}
	return 0
}
