package watcher

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"

	gopsnet "github.com/shirou/gopsutil/v3/net"

	"porttray/watcher/owner"
)

// Traffic is what happens at a local port beside its listeners, as one reading found it. Sockets that come or go meanwhile may
// be missing, so the counts of a busy port are not exact. Of a connection between two programs on this computer it holds the
// end whose local port this is, and not the other one. On macOS it knows only of sockets of processes that this user may see.
type Traffic struct {
	// Queues are those of the listening sockets, one for each, sorted by address. Several sockets may have the same address.
	Queues []Queue
	// Connected is the number of connections that are established, or closed by one side only. Those that wait in a queue to
	// be accepted are among them.
	Connected int
	// Lingering is the number of connections that no process has any more and that the system keeps for a while, most of them
	// in TIME_WAIT. On Linux a program that does not set the option SO_REUSEADDR cannot have the port until they are gone. It
	// is -1 where the system does not tell: on macOS.
	Lingering int
	// Strays are connections, those that are about to be made included, at an address where nothing listens on the port: those
	// that a program has opened to somewhere else from this port, and those that have outlived their listener. Which of the two
	// cannot be told from here. There are at most maxStrays of them.
	Strays []Socket
	// Bound are TCP sockets that have the port, and neither listen nor are connected. Linux tells of them since 6.8, through
	// sock_diag; where they are hidden there are none.
	Bound []Socket
	// UDP are the UDP sockets with this port. One with a remote address takes nothing from anybody else, and so is no service.
	UDP []Socket
}

// maxStrays bounds the search for owners where a server has closed its listener and kept thousands of connections.
const maxStrays = 64

// A Queue is where connections to a listening socket wait to be accepted.
type Queue struct {
	Addr     netip.Addr // unmapped
	Waiting  int        // how many connections are in it; 0 also where the system does not tell
	Capacity int        // how many it takes, at least one; 0 where the system does not tell
}

// Full reports whether the queue is known to be full. Then Linux leaves whoever connects without an answer, as a firewall does.
func (q Queue) Full() bool { return q.Capacity > 0 && q.Waiting >= q.Capacity }

// A Socket is one that uses a port without listening on it.
type Socket struct {
	Local  netip.Addr     // unmapped
	Remote netip.AddrPort // of the other end; invalid if it is not connected
	// Owner is the process that holds the socket; of several that share it, the topmost. It may be unknown.
	Owner owner.Process
}

// compare orders sockets by their addresses and then by owner.
func (s Socket) compare(t Socket) int {
	return cmp.Or(s.Local.Compare(t.Local), s.Remote.Compare(t.Remote), cmp.Compare(s.Owner.PID, t.Owner.PID))
}

// ReadTraffic reads what happens at a port, once and from scratch. That takes milliseconds. Where sockets are found whose owners
// have to be looked for, it takes as long as a Scan does. Processes are looked at, and nothing is sent. An error says that the
// system does not let its sockets be listed; a list of gopsutil's can be empty instead.
func ReadTraffic(ctx context.Context, port uint16) (Traffic, error) {
	ends, err := readEnds(ctx, port)
	if err != nil {
		return Traffic{}, fmt.Errorf("read the traffic at port %d: %w", port, err)
	}
	t := tally(ends)
	if !tellsLingering(runtime.GOOS) {
		t.Lingering = -1
	}
	return t, nil
}

// tellsLingering reports whether a system's list of sockets has those that belong to no process: what lsof lists has not.
func tellsLingering(goos string) bool { return goos == "linux" || goos == "windows" }

// An end is a socket at the port: of a connection, the end that is here.
type end struct {
	use    use
	local  netip.Addr     // unmapped
	remote netip.AddrPort // unmapped; invalid if it is not connected
	queue  Queue          // of one that listens
	owner  owner.Process  // of one that ownersWanted returns
}

// A use is what a socket does with its port.
type use int

const (
	ignored  use = iota // half of a handshake, which a listener answers for
	listens             // connections are accepted from it
	connects            // it has been told to connect and has no answer yet
	connected
	lingers
	bound
	datagrams // UDP
)

// tally sorts the ends at a port by what they are.
func tally(ends []end) Traffic {
	var t Traffic
	of := func(e end) Socket { return Socket{e.local, e.remote, e.owner} }
	for _, e := range ends {
		switch e.use {
		case listens:
			t.Queues = append(t.Queues, e.queue)
		case connected:
			t.Connected++
		case lingers:
			t.Lingering++
		case bound:
			t.Bound = append(t.Bound, of(e))
		case datagrams:
			t.UDP = append(t.UDP, of(e))
		}
	}
	for _, i := range strays(ends) {
		t.Strays = append(t.Strays, of(ends[i]))
	}
	slices.SortStableFunc(t.Queues, func(a, b Queue) int { return a.Addr.Compare(b.Addr) })
	for _, sockets := range [][]Socket{t.Strays, t.Bound, t.UDP} {
		slices.SortStableFunc(sockets, Socket.compare)
	}
	return t
}

// ownersWanted returns the indexes of the ends whose owners a Traffic names.
func ownersWanted(ends []end) []int {
	wanted := strays(ends)
	for i, e := range ends {
		if e.use == bound || e.use == datagrams {
			wanted = append(wanted, i)
		}
	}
	return wanted
}

// strays returns the indexes of the first maxStrays connections that belong to no listener at the port. An IPv6 wildcard is
// taken for dual-stack: not every list tells.
func strays(ends []end) []int {
	at := map[netip.Addr]bool{} // where something listens
	for _, e := range ends {
		if e.use == listens {
			at[e.local] = true
		}
	}
	var found []int
	for i, e := range ends {
		if len(found) == maxStrays {
			break
		}
		listened := at[e.local] || at[netip.IPv6Unspecified()] || at[netip.IPv4Unspecified()] && e.local.Is4()
		if e.use == connects || e.use == connected && !listened {
			found = append(found, i)
		}
	}
	return found
}

// portableEnds returns the sockets at a port as gopsutil lists them, with owners.
func portableEnds(ctx context.Context, port uint16) ([]end, error) {
	var ends []end
	var pids []int32
	for _, protocol := range []string{"tcp", "udp"} {
		conns, err := connections(ctx, protocol, 0)
		if err != nil {
			return nil, fmt.Errorf("list %s sockets: %w", strings.ToUpper(protocol), err)
		}
		for _, c := range conns {
			if c.Laddr.Port != uint32(port) {
				continue
			}
			e, err := portableEnd(c)
			if err != nil {
				return nil, fmt.Errorf("list %s sockets: %w", strings.ToUpper(protocol), err)
			}
			ends, pids = append(ends, e), append(pids, c.Pid)
		}
	}
	known := map[int32]owner.Process{}
	for _, i := range ownersWanted(ends) {
		pid := pids[i]
		if _, read := known[pid]; !read && pid > 0 {
			known[pid], _ = owner.Read(ctx, pid) // or it stays unknown
		}
		ends[i].owner = known[pid]
	}
	return ends, nil
}

// portableEnd returns what gopsutil lists as one end. It knows nothing of queues.
func portableEnd(c gopsnet.ConnectionStat) (end, error) {
	local, err := bindAddress(c)
	if err != nil {
		return end{}, err
	}
	e := end{use: datagrams, local: local, queue: Queue{Addr: local}}
	if c.Type == syscall.SOCK_STREAM {
		e.use = portableUse(c.Status, c.Pid > 0)
	}
	if c.Raddr.Port != 0 {
		remote, err := netip.ParseAddr(c.Raddr.IP)
		if err != nil {
			return end{}, fmt.Errorf("remote address %q: %w", c.Raddr.IP, err)
		}
		e.remote = netip.AddrPortFrom(remote.Unmap().WithZone(""), uint16(c.Raddr.Port))
	}
	return e, nil
}

// portableUse returns the use of a TCP socket in a state as gopsutil names it, which differs by system, and which a process
// holds or not. A process can close a connection for writing only, and hold it still.
func portableUse(state string, held bool) use {
	switch state {
	case "LISTEN":
		return listens
	case "SYN_SENT":
		return connects
	case "ESTABLISHED", "CLOSE_WAIT":
		return connected
	case "FIN_WAIT1", "FIN_WAIT_1", "FIN_WAIT2", "FIN_WAIT_2", "CLOSING", "LAST_ACK":
		if held {
			return connected
		}
		return lingers
	case "TIME_WAIT":
		return lingers
	case "CLOSE", "CLOSED":
		return bound
	}
	return ignored
}
