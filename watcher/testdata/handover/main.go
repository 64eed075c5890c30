//go:build linux

// Handover plays processes that hand over their PIDs and ports to one another, and reports how each of them ended. It
// reads the orders as lines from its standard input. clone3(2) makes a process without another program, in a tenth of a
// millisecond. It also sets the PID, which needs a PID namespace.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An order is a line of the input. The answer is a line, too.
type order struct {
	Do    string
	Who   string
	To    string // the receiver of a socket, or the child to bear
	PID   int32  // for the new process
	Port  int    // to listen on; 0 for any, -1 for none
	Share bool   // the port, with SO_REUSEPORT
}

type answer struct {
	PID   int32
	Port  int
	Ended map[string]string // how each ended actor ended
	Err   string
}

// An actor is a process made by this program or by another actor.
type actor struct {
	pid    int32
	orders int    // this program's end of its socket
	child  [2]int // both ends of the socket for a possible child
	ended  bool
	born   bool // made by another actor
}

// The orders to an actor: one byte, followed by a number of four bytes.
const (
	leave     = 'x'
	shut      = 'c' // closes its listener
	give      = 'g' // sends its listener through passage, and closes it
	take      = 't' // receives it
	bear      = 'b' // makes a child that obeys the socket with that number
	disguise  = 'n' // calls itself a forwarder
	transform = 'e' // executes the other program
)

// passage is a socket for passing listeners between actors.
var passage [2]int

func main() {
	if len(os.Args) == 3 { // after transform
		orders, _ := strconv.Atoi(os.Args[2])
		play(orders, -1)
	}
	if err := direct(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// direct obeys the input until it ends. Actors that transform execute the program other.
func direct(other string) (err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil { // to wait for all of them
		return err
	}
	if passage, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0); err != nil {
		return err
	}
	if err := prepare(other); err != nil {
		return err
	}
	cast := map[string]*actor{}
	out := json.NewEncoder(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var o order
		if err := json.Unmarshal(in.Bytes(), &o); err != nil {
			return err
		}
		a, err := obey(cast, o)
		if err != nil {
			a.Err = fmt.Sprintf("%s %s: %v", o.Do, o.Who, err)
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

func obey(cast map[string]*actor, o order) (a answer, err error) {
	who := cast[o.Who]
	switch o.Do {
	case "start":
		who, a.Port, err = start(o)
		if err == nil {
			a.PID, cast[o.Who] = who.pid, who
		}
	case "end":
		a.Ended = map[string]string{o.Who: end(who, true)}
	case "rot":
		end(who, false)
	case "drop":
		_, err = tell(who, shut, 0)
	case "give":
		if _, err = tell(who, give, 0); err == nil {
			_, err = tell(cast[o.To], take, 0)
		}
	case "bear":
		child := &actor{orders: who.child[0], born: true}
		child.pid, err = tell(who, bear, int32(who.child[1]))
		a.PID, cast[o.To] = child.pid, child
	case "disguise":
		_, err = tell(who, disguise, 0)
	case "transform":
		_, err = tell(who, transform, 0)
	case "clear": // end all actors, and report how they ended
		a.Ended = dismiss(cast)
	default:
		err = errors.New("no such order")
	}
	return a, err
}

// dismiss ends all actors, parents first, so that this program becomes the parent of their children.
func dismiss(cast map[string]*actor) map[string]string {
	ended := map[string]string{}
	for _, born := range []bool{false, true} {
		for name, who := range cast {
			if who.born == born && !who.ended {
				ended[name] = end(who, true)
			}
		}
	}
	for _, who := range cast {
		if who.born {
			continue // its sockets belong to its parent
		}
		for _, fd := range []int{who.orders, who.child[0], who.child[1]} {
			unix.Close(fd)
		}
	}
	clear(cast)
	return ended
}

// start makes an actor that listens on the port of the order.
func start(o order) (*actor, int, error) {
	listener, port := -1, 0
	if o.Port >= 0 {
		var err error
		if listener, port, err = listen(o.Port, o.Share); err != nil {
			return nil, 0, err
		}
		defer unix.Close(listener)
	}
	mine, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return nil, 0, err
	}
	child, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		return nil, 0, err
	}
	pid, errno := clone(o.PID, mine[1], listener)
	unix.Close(mine[1])
	if errno != 0 {
		return nil, 0, errno
	}
	return &actor{pid: pid, orders: mine[0], child: child}, port, nil
}

func listen(port int, share bool) (fd, bound int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return 0, 0, err
	}
	if share {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	addr4 := &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}
	if err = errors.Join(err, unix.Bind(fd, addr4), unix.Listen(fd, 8)); err != nil {
		unix.Close(fd)
		return 0, 0, err
	}
	addr, err := unix.Getsockname(fd)
	return fd, addr.(*unix.SockaddrInet4).Port, err
}

// tell gives an actor an order and waits until the actor has obeyed it.
func tell(who *actor, what byte, number int32) (answered int32, err error) {
	message := [5]byte{what}
	*(*int32)(unsafe.Pointer(&message[1])) = number
	if err := unix.Sendto(who.orders, message[:], unix.MSG_NOSIGNAL, nil); err != nil {
		return 0, err
	}
	if n, err := unix.Read(who.orders, message[:]); err != nil || n != len(message) {
		return 0, fmt.Errorf("no answer: %d bytes, %w", n, err)
	}
	if answered = *(*int32)(unsafe.Pointer(&message[1])); answered < 0 {
		return 0, unix.Errno(-answered)
	}
	return answered, nil
}

// end makes an actor leave, if it still runs, and returns how it ended. Without reap it stays a zombie.
func end(who *actor, reap bool) string {
	_ = unix.Sendto(who.orders, []byte{leave, 0, 0, 0, 0}, unix.MSG_NOSIGNAL, nil) // it may have ended
	if !reap {
		for unix.Waitid(unix.P_PID, int(who.pid), nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
		}
		return ""
	}
	var status unix.WaitStatus
	var err error
	for {
		if _, err = unix.Wait4(int(who.pid), &status, 0, nil); err != unix.EINTR {
			break
		}
	}
	who.ended = true
	switch {
	case err != nil:
		return err.Error()
	case status.Signaled():
		return status.Signal().String()
	}
	return fmt.Sprint("status ", status.ExitStatus())
}

// Memory for actors: they cannot allocate any.
var (
	program    *byte
	arguments  []*byte
	nothing    [1]*byte
	number     [12]byte // the argument that names the socket for orders
	title      = [16]byte{'d', 'o', 'c', 'k', 'e', 'r', '-', 'p', 'r', 'o', 'x', 'y'}
	rights     [24]byte // a control message with one descriptor
	parcel     unix.Msghdr
	content    unix.Iovec
	oneByte    [1]byte
	noBlocking [8]byte // an empty set of signals
	byDefault  [32]byte
)

func prepare(other string) error {
	var err error
	if program, err = unix.BytePtrFromString(other); err != nil {
		return err
	}
	second, err := unix.BytePtrFromString("play")
	if err != nil {
		return err
	}
	arguments = []*byte{program, second, &number[0], nil}
	copy(rights[:], unix.UnixRights(0))
	content.Base = &oneByte[0]
	content.SetLen(1)
	parcel.Iov, parcel.Control = &content, &rights[0]
	parcel.SetIovlen(1)
	parcel.SetControllen(unix.CmsgSpace(4))
	return nil
}

// A cloning is struct clone_args of clone3(2).
type cloning struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// clone makes a process with that PID that obeys the socket orders. The child has only one thread. It must not use
// anything of Go's that could wait for another thread: only plain system calls, without a stack check.
//
//go:nosplit
func clone(want int32, orders, listener int) (int32, unix.Errno) {
	args := cloning{exitSignal: uint64(unix.SIGCHLD), setTID: uint64(uintptr(unsafe.Pointer(&want))), setTIDSize: 1}
	pid, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	if errno != 0 || pid != 0 {
		return int32(pid), errno
	}
	for s := uintptr(1); s < 32; s++ {
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, s, uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	}
	unix.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&noBlocking)), 0, 8, 0, 0)
	play(orders, listener)
	return 0, 0
}

// play obeys orders until one is to leave.
//
//go:nosplit
func play(orders, listener int) {
	var message [5]byte
	done := orders >= 0 && listener == -1 && len(arguments) == 0 // it has transformed, and reports it
	for {
		if done {
			unix.RawSyscall(unix.SYS_WRITE, uintptr(orders), uintptr(unsafe.Pointer(&message)), 5)
		}
		done = true
		n, _, _ := unix.RawSyscall(unix.SYS_READ, uintptr(orders), uintptr(unsafe.Pointer(&message)), 5)
		if n != 5 || message[0] == leave {
			status := uintptr(0)
			if n != 5 {
				status = 1
			}
			unix.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
		}
		number32 := (*int32)(unsafe.Pointer(&message[1]))
		errno := unix.Errno(0)
		switch message[0] {
		case shut:
			_, _, errno = unix.RawSyscall(unix.SYS_CLOSE, uintptr(listener), 0, 0)
			*number32 = 0
		case give:
			*(*int32)(unsafe.Pointer(&rights[16])) = int32(listener)
			_, _, errno = unix.RawSyscall(unix.SYS_SENDMSG, uintptr(passage[0]), uintptr(unsafe.Pointer(&parcel)), 0)
			unix.RawSyscall(unix.SYS_CLOSE, uintptr(listener), 0, 0)
		case take:
			_, _, errno = unix.RawSyscall(unix.SYS_RECVMSG, uintptr(passage[1]), uintptr(unsafe.Pointer(&parcel)), 0)
			listener = int(*(*int32)(unsafe.Pointer(&rights[16])))
		case bear:
			args := cloning{exitSignal: uint64(unix.SIGCHLD)}
			pid, _, e := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
			if errno = e; e == 0 && pid == 0 {
				unix.RawSyscall(unix.SYS_CLOSE, uintptr(orders), 0, 0) // lets the other end detect the parent's end
				orders = int(*number32)
				done = false
			} else {
				*number32 = int32(pid)
			}
		case disguise:
			_, _, errno = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_NAME, uintptr(unsafe.Pointer(&title)), 0)
		case transform:
			for i, n := len(number)-2, orders; i >= 0; i, n = i-1, n/10 {
				number[i] = byte('0' + n%10)
			}
			_, _, errno = unix.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(program)),
				uintptr(unsafe.Pointer(&arguments[0])), uintptr(unsafe.Pointer(&nothing)))
		}
		if errno != 0 {
			*number32 = -int32(errno)
		}
	}
}
