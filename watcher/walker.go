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

// walkWithin is after how long a walker looks at all processes again, although nothing seems to have changed.
const walkWithin = 10 * time.Second

// tableAttempts is how often the table is asked for when it grows faster than a buffer for it can be made.
const tableAttempts = 4

// An xnu is what is asked of the kernel of macOS. What a function returns is valid until it is called again.
type xnu struct {
	table     func() ([]byte, error)              // of all TCP sockets: see parseTable
	processes func() ([]byte, error)              // see parseProcesses
	files     func(pid int32) ([]byte, error)     // of a process: see parseFiles
	socket    func(pid, fd int32) ([]byte, error) // about a file that is a socket: see parseSocket
}

// A walker lists the listening sockets of macOS without starting a program, which lsof would take a tenth of a second for. It
// belongs to one goroutine.
//
// Who holds a socket is known for sure from the files of the processes alone, and a walk through all of those costs milliseconds.
// The kernel's table costs a small part of one, and has other users' sockets as well, whose processes may not be looked at. So
// the table tells when to walk, and which sockets are held by nobody who can be seen. Where the table is not to be had, or
// is withheld, as by macOS 27 and later from many programs (dotnet/runtime#133960), each list takes a walk, and has no
// sockets of other users. The programs that such a program starts are told no more, netstat among them.
type walker struct {
	kernel xnu
	self   int32  // this process
	uid    uint32 // whose sockets are not foreign

	trusted bool          // the table could be read, and so an error is one
	table   []tableSocket // when the last walk began
	sure    bool          // everything that the last walk found was in it
	walked  time.Time     // when the last walk began
	held    []holding     // what it found
	sockets []socket      // what it came to
}

// A holding is a listening socket that a process has open.
type holding struct {
	pid, fd int32
	kernelSocket
}

// list is the walker's lister. A socket that is in the table, and that nobody who can be seen holds, has the PID 0.
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

// look brings sockets up to date.
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
		// What opened meanwhile may belong to a process that had been looked at before, and what closed is gone.
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

// readTable returns what the table has, and whether that is more than this process's own sockets. When the first attempt to read
// it fails, it is not asked for again.
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

// walk looks at the files of all processes.
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

// holdings appends the listening sockets that a process has open to held, and reports whether that could be seen. A process
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

// outOfSight reports whether an error says that there is no such process or file any longer, or that it may not be looked at.
func outOfSight(err error) bool {
	for _, no := range []syscall.Errno{syscall.ESRCH, syscall.EPERM, syscall.EACCES, syscall.EBADF, syscall.ENOTSOCK} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// holds reports whether all that the last walk found is still where it was. An error is for the walk to find that then comes.
func (w *walker) holds() bool {
	return !slices.ContainsFunc(w.held, func(h holding) bool {
		so, listens, err := w.socketAt(h.pid, h.fd)
		return err != nil || !listens || so != h.kernelSocket
	})
}

// hidden returns the sockets that were in the table before and after a walk that did not find anybody who holds one there.
func (w *walker) hidden(before, after []tableSocket, held []holding) []socket {
	places := make(map[netip.AddrPort]bool, len(held))
	for _, h := range held {
		places[h.addrPort] = true
	}
	var hidden []socket
	for _, so := range before {
		if !places[so.addrPort] && slices.Contains(after, so) {
			hidden = append(hidden, socket{addr: so.addrPort.Addr(), port: so.addrPort.Port(), foreign: so.uid != w.uid})
		}
	}
	return hidden
}

// allIn reports whether a table has all the sockets that are held.
func allIn(held []holding, table []tableSocket) bool {
	known := make(map[kernelSocket]bool, len(table))
	for _, so := range table {
		known[so.kernelSocket] = true
	}
	return !slices.ContainsFunc(held, func(h holding) bool { return !known[h.kernelSocket] })
}

// heldSockets returns each socket that is held, once. Of the processes that share it that is the one with the lowest PID: most
// often the main process, from which no look upward is needed.
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
