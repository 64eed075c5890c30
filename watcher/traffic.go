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

// Traffic holds the sockets at a local port, except its listeners, from one reading. Sockets that open or close
// meanwhile may be missing, so the counts are not exact. A connection inside this computer counts only at the end with
// this local port. macOS lists only sockets of processes that this user may see.
type Traffic struct {
	// Queues has one queue for each listening socket, sorted by address. Several sockets may have the same address.
	Queues []Queue
	// Connected is the number of connections that are established, waiting in a queue, or closed by one side only.
	Connected int
	// Lingering is the number of connections that the system keeps without a process, most of them in TIME_WAIT. On
	// Linux they block the port for a program without SO_REUSEADDR. It is -1 on macOS, which does not list them.
	Lingering int
	// Strays are connections, including pending ones, at an address without a listener on the port. They are outgoing,
	// or outlived their listener; the list does not tell which. There are at most maxStrays.
	Strays []Socket
	// Bound are TCP sockets that have the port, and neither listen nor are connected. Linux lists them since 6.8,
	// through sock_diag. Otherwise there are none.
	Bound []Socket
	// UDP are the UDP sockets with this port. Those with a remote address are no service: they receive only from it.
	UDP []Socket
}

// maxStrays limits the search for owners if a server closed its listener and kept thousands of connections.
const maxStrays = 64

// A Queue holds the connections to a listening socket that wait to be accepted.
type Queue struct {
	Addr     netip.Addr // unmapped
	Waiting  int        // number of connections in it; 0 also if the system does not tell
	Capacity int        // its limit, at least one; 0 if the system does not tell
}

// Full reports whether the queue is known to be full. Then Linux does not answer new connections, like a firewall.
func (q Queue) Full() bool { return q.Capacity > 0 && q.Waiting >= q.Capacity }

// A Socket is a socket that uses a port without listening on it.
type Socket struct {
	Local  netip.Addr     // unmapped
	Remote netip.AddrPort // of the other end; invalid if it is not connected
	// Owner is the process that holds the socket, or the topmost one if several share it. It may be unknown.
	Owner owner.Process
}

func (s Socket) compare(t Socket) int {
	return cmp.Or(s.Local.Compare(t.Local), s.Remote.Compare(t.Remote), cmp.Compare(s.Owner.PID, t.Owner.PID))
}

// ReadTraffic reads the sockets at a port, once and from scratch. That takes milliseconds, or as long as a Scan if it
// has to search for owners. It only reads, and sends nothing. It returns an error if the system does not list its
// sockets. A failure of gopsutil's can be an empty list instead.
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

// tellsLingering reports whether a system lists sockets without a process. lsof does not.
func tellsLingering(goos string) bool { return goos == "linux" || goos == "windows" }

// An end is a socket at the port; for a connection, the local end.
type end struct {
	use    use
	local  netip.Addr     // unmapped
	remote netip.AddrPort // unmapped; invalid if it is not connected
	queue  Queue          // if it listens
	owner  owner.Process  // if ownersWanted returns this end
}

// A use is the way a socket uses its port.
type use int

const (
	ignored  use = iota // a handshake that belongs to a listener
	listens             // it accepts connections
	connects            // it waits for an answer from the other end
	connected
	lingers
	bound
	datagrams // UDP
)

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

// ownersWanted returns the indexes of the ends that need an owner in a Traffic.
func ownersWanted(ends []end) []int {
	wanted := strays(ends)
	for i, e := range ends {
		if e.use == bound || e.use == datagrams {
			wanted = append(wanted, i)
		}
	}
	return wanted
}

// strays returns the indexes of the first maxStrays connections without a listener at the port. It treats every IPv6
// wildcard as dual-stack, because not every list tells.
func strays(ends []end) []int {
	at := map[netip.Addr]bool{} // addresses with a listener
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

// portableEnds returns gopsutil's list of the sockets at a port, with owners.
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
			known[pid], _ = owner.Read(ctx, pid) // if this fails, it stays unknown
		}
		ends[i].owner = known[pid]
	}
	return ends, nil
}

// portableEnd converts a socket of gopsutil's list. It knows nothing about queues.
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

// portableUse returns the use of a TCP socket from gopsutil's name for its state. The names differ by system. held
// reports whether a process holds the socket: a process can close a connection for writing and still hold it.
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
