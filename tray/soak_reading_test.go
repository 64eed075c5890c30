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

// This file finds the listeners in a slow but independent way. It reads the text of /proc/PID/net/tcp and tcp6 and the
// open files of every process, and shares no code with the scans of the program.

// A holding is a process with the ports that it listens on.
type holding struct {
	pid   int
	name  string
	dir   string
	ports map[uint16][]netip.Addr
}

// readHoldings returns the listening processes in the network of a process. If a process and its child share a socket,
// the parent has it.
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
				// A process that is just ending has neither file. The next reading is right.
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
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

// parseAddress reads "0100007F:1F90": an address of four or sixteen bytes and the port. Each group of four bytes has
// the byte order of the machine.
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

// holders returns the PIDs that hold each socket, by inode. It looks only at processes in the network of inside.
func holders(sockets map[uint64]netip.AddrPort, inside int) map[uint64]map[int]bool {
	found := map[uint64]map[int]bool{}
	network, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", inside))
	dirs, _ := filepath.Glob("/proc/[0-9]*/fd") // the pattern is valid
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if where, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil || where != network {
			continue
		}
		files, _ := os.ReadDir(dir) // none if the process has ended
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
