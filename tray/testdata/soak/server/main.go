// Server is the process that the soak test starts again and again. It listens and obeys one order at a time. Its first
// argument is a socket to connect to, and its second is the name of the process. It ends when the connection ends.
//
//	listen NETWORK ADDRESS [reuse]   listens like net.Listen; with reuse, other sockets may listen there, too
//	close NETWORK ADDRESS            stops listening there
//	udp ADDRESS                      receives packets
//	burst FIRST N DURATION           listens on N ports in turn, at least that long on each
//	fork TOKEN                       starts a child that shares all listeners and connects as TOKEN
//	ignore                           ignores SIGTERM from now on
//	exit STATUS                      ends
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// inherited is the environment variable with the keys of a child's listeners, in the order of its files.
const inherited = "SOAK_LISTENERS"

type server struct {
	door, name string
	listeners  map[string]net.Listener
	order      []string // of the keys of listeners
	packets    []net.PacketConn
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(door, name, token string) error {
	if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
		return err
	}
	s := &server{door: door, name: name, listeners: map[string]net.Listener{}}
	if err := s.inherit(); err != nil {
		return err
	}
	conn, err := net.Dial("unix", door)
	if err != nil {
		return err
	}
	fmt.Fprintf(conn, "%s %d\n", token, os.Getpid())
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		answer, err := s.obey(strings.Fields(lines.Text()))
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Fprintln(conn, answer)
	}
	return nil
}

func (s *server) obey(order []string) (answer string, err error) {
	answer = "ok"
	switch args := order[1:]; order[0] {
	case "listen":
		err = s.listen(args[0], args[1], slices.Contains(args, "reuse"))
	case "close":
		key := args[0] + " " + args[1]
		err = s.listeners[key].Close()
		delete(s.listeners, key)
		s.order = slices.DeleteFunc(s.order, func(k string) bool { return k == key })
	case "udp":
		var c net.PacketConn
		c, err = net.ListenPacket("udp", args[0])
		s.packets = append(s.packets, c)
	case "burst":
		answer, err = burst(args)
	case "fork":
		err = s.fork(args[0])
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
	case "exit":
		status, _ := strconv.Atoi(args[0])
		os.Exit(status)
	default:
		err = fmt.Errorf("%q is no order", order)
	}
	return answer, err
}

func (s *server) listen(network, addr string, reuse bool) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if !reuse {
			return nil
		}
		const reusePort = 15 // SO_REUSEPORT of socket(7), which package syscall lacks
		c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, reusePort, 1) })
		return err
	}}
	l, err := config.Listen(context.Background(), network, addr)
	if err != nil {
		return err
	}
	s.add(network+" "+addr, l)
	return nil
}

func (s *server) add(key string, l net.Listener) {
	s.listeners[key], s.order = l, append(s.order, key)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(time.Second))
				io.CopyN(io.Discard, c, 1)
			}()
		}
	}()
}

// burst returns the longest lifetime of one of its listeners.
func burst(args []string) (string, error) {
	first, _ := strconv.Atoi(args[0])
	n, _ := strconv.Atoi(args[1])
	life, err := time.ParseDuration(args[2])
	longest := time.Duration(0)
	for i := 0; i < n && err == nil; i++ {
		begin := time.Now()
		var l net.Listener
		if l, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", first+i)); err != nil {
			break
		}
		time.Sleep(life)
		l.Close()
		longest = max(longest, time.Since(begin))
	}
	return longest.String(), err
}

// fork starts a child, like a pre-forking server. The child has its own connection to the test, and outlives this
// process.
func (s *server) fork(token string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.Command(exe, s.door, s.name, token)
	for _, key := range s.order {
		f, err := s.listeners[key].(*net.TCPListener).File()
		if err != nil {
			return err
		}
		defer f.Close()
		child.ExtraFiles = append(child.ExtraFiles, f)
	}
	child.Env = append(os.Environ(), inherited+"="+strings.Join(s.order, ","))
	if err := child.Start(); err != nil {
		return err
	}
	go child.Wait()
	return nil
}

// inherit takes over the listeners of the parent.
func (s *server) inherit() error {
	for i, key := range strings.FieldsFunc(os.Getenv(inherited), func(r rune) bool { return r == ',' }) {
		f := os.NewFile(uintptr(3+i), key)
		l, err := net.FileListener(f)
		if err != nil {
			return err
		}
		f.Close()
		s.add(key, l)
	}
	return nil
}
