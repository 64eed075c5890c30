package watcher

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// walkWithin is how long after a walk the next one is due, even if nothing seems to have changed.
const walkWithin = 10 * time.Second

// tableAttempts is how often the walker reads the table while it grows faster than the buffer.
const tableAttempts = 4

// An xnu holds the questions to the kernel of macOS. Each result is valid until the next call of the same function.
type xnu struct {
	table     func() ([]byte, error)              // of all TCP sockets: see parseTable
	processes func() ([]byte, error)              // see parseProcesses
	files     func(pid int32) ([]byte, error)     // of a process: see parseFiles
	socket    func(pid, fd int32) ([]byte, error) // about a file that is a socket: see parseSocket
}

// A walker lists the listening sockets of macOS without a start of lsof, which would take a tenth of a second. It
// belongs to one goroutine.
//
// Only the files of the processes show for certain who holds a socket, and a walk through all of them costs
// milliseconds. The kernel's table costs a small part of a millisecond. It includes other users' sockets, and their
// processes are hidden. So the table decides when to walk, and shows the sockets without a visible holder. If the table
// is unavailable, each list takes a walk, and lacks other users' sockets. Since macOS 27 the kernel withholds the table
// from many programs (dotnet/runtime#133960), and from the programs that they start, netstat among them.
type walker struct {
	kernel xnu
	self   int32  // this process
	uid    uint32 // the user of sockets that are not foreign

	trusted bool          // the table was read once, so a later error counts
	table   []tableSocket // at the start of the last walk
	sure    bool          // the table had all results of the last walk
	walked  time.Time     // start of the last walk
	held    []holding     // results of the last walk
	sockets []socket      // the sockets to return
}

// A holding is a listening socket under a descriptor of a process.
type holding struct {
	pid, fd int32
	kernelSocket
}

// list is the walker's lister. A socket in the table without a visible holder has the PID 0.
func (w *walker) list(ctx context.Context, pid int32) ([]socket, error) {
	if pid != 0 {
		held, _, err := w.holdings(pid, nil)
		if err != nil {
			return nil, fmt.Errorf("list TCP sockets: %w", err)
		}
		return heldSockets(held), nil
	}
	if err := w.refresh(ctx); err != nil {
		return nil, fmt.Errorf("list TCP sockets: %w", err)
	}
	return w.sockets, nil
}

// refresh updates sockets.
func (w *walker) refresh(ctx context.Context) error {
	now := time.Now()
	before, whole, err := w.readTable()
	if err != nil {
		return err
	}
	if whole && w.sure && slices.Equal(before, w.table) && now.Sub(w.walked) < walkWithin && w.holds() {
		return nil
	}
	held, err := w.walk(ctx)
	if err != nil {
		return err
	}
	var hidden []socket
	if whole {
		// A new socket may belong to a process that was visited before it opened. A closed socket does not count.
		after, _, err := w.readTable()
		if err != nil {
			return err
		}
		hidden = w.hidden(before, after, held)
	}
	w.walked, w.table, w.held = now, before, held
	w.sure = allIn(held, before)
	w.sockets = append(heldSockets(held), hidden...)
	return nil
}

// readTable returns the table, and whether it has more than this process's own sockets. If the first attempt to read it
// fails, the walker gives it up for good.
func (w *walker) readTable() (sockets []tableSocket, whole bool, err error) {
	if w.kernel.table == nil {
		return nil, false, nil
	}
	for range tableAttempts {
		var data []byte
		if data, err = w.kernel.table(); err == nil {
			sockets, whole, err = parseTable(data, w.self)
		}
		if !errors.Is(err, syscall.ENOMEM) {
			break
		}
	}
	switch {
	case err == nil:
		w.trusted = true
		return sockets, whole, nil
	case w.trusted:
		return nil, false, err
	}
	w.kernel.table = nil
	return nil, false, nil
}

func (w *walker) walk(ctx context.Context) ([]holding, error) {
	list, err := w.kernel.processes()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	pids, err := parseProcesses(list)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var held []holding
	blind := true
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if pid <= 0 {
			continue // the kernel itself
		}
		var seen bool
		if held, seen, err = w.holdings(pid, held); err != nil {
			return nil, err
		}
		blind = blind && !(seen && pid == w.self)
	}
	if blind {
		return nil, errors.New("not even this process's own files may be looked at")
	}
	return held, nil
}

// holdings appends the listening sockets of a process to held, and reports whether the process was visible. A process
// that ends meanwhile, or that belongs to another user, has none.
func (w *walker) holdings(pid int32, held []holding) (_ []holding, seen bool, err error) {
	files, err := w.kernel.files(pid)
	if outOfSight(err) {
		return held, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("files of process %d: %w", pid, err)
	}
	fds, err := parseFiles(files)
	if err != nil {
		return nil, false, fmt.Errorf("files of process %d: %w", pid, err)
	}
	for _, fd := range fds {
		so, listens, err := w.socketAt(pid, fd)
		if outOfSight(err) {
			continue // closed meanwhile
		}
		if err != nil {
			return nil, false, fmt.Errorf("file %d of process %d: %w", fd, pid, err)
		}
		if listens {
			held = append(held, holding{pid, fd, so})
		}
	}
	return held, true, nil
}

func (w *walker) socketAt(pid, fd int32) (so kernelSocket, listens bool, err error) {
	info, err := w.kernel.socket(pid, fd)
	if err != nil {
		return kernelSocket{}, false, err
	}
	return parseSocket(info)
}

// outOfSight reports whether an error means that the process or file does not exist any more or is hidden.
func outOfSight(err error) bool {
	for _, no := range []syscall.Errno{syscall.ESRCH, syscall.EPERM, syscall.EACCES, syscall.EBADF, syscall.ENOTSOCK} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// holds reports whether all results of the last walk are still valid. The next walk reports errors.
func (w *walker) holds() bool {
	return !slices.ContainsFunc(w.held, func(h holding) bool {
		so, listens, err := w.socketAt(h.pid, h.fd)
		return err != nil || !listens || so != h.kernelSocket
	})
}

// hidden returns the sockets that were in the table before and after a walk, but without a holder in the walk.
func (w *walker) hidden(before, after []tableSocket, held []holding) []socket {
	places := make(map[netip.AddrPort]bool, len(held))
	for _, h := range held {
		places[h.addrPort] = true
	}
	var hidden []socket
	for _, so := range before {
		if !places[so.addrPort] && slices.Contains(after, so) {
			hidden = append(hidden,
				socket{addr: so.addrPort.Addr(), port: so.addrPort.Port(), foreign: so.uid != w.uid})
		}
	}
	return hidden
}

func allIn(held []holding, table []tableSocket) bool {
	known := make(map[kernelSocket]bool, len(table))
	for _, so := range table {
		known[so.kernelSocket] = true
	}
	return !slices.ContainsFunc(held, func(h holding) bool { return !known[h.kernelSocket] })
}

// heldSockets returns each held socket once. It chooses the holder with the lowest PID. Mostly that is the main
// process, and saves a search among the ancestors.
func heldSockets(held []holding) []socket {
	holders := make(map[kernelSocket]int32, len(held))
	var order []kernelSocket
	for _, h := range held {
		pid, again := holders[h.kernelSocket]
		if !again {
			order = append(order, h.kernelSocket)
		}
		if !again || h.pid < pid {
			holders[h.kernelSocket] = h.pid
		}
	}
	sockets := make([]socket, 0, len(order))
	for _, so := range order {
		sockets = append(sockets, socket{addr: so.addrPort.Addr(), port: so.addrPort.Port(), pid: holders[so]})
	}
	return sockets
}
