package watcher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	gopsnet "github.com/shirou/gopsutil/v3/net"
	"golang.org/x/sys/unix"
)

// A load simulates a busy machine: processes with open files, including listeners and connections.
type load struct {
	name                   string
	processes, files       int
	listeners, connections int
	projects               bool // each process works in its own project
}

var loads = []load{
	{name: "small", processes: 300, files: 30, listeners: 40, connections: 200},
	{name: "middle", processes: 1500, files: 60, listeners: 300, connections: 5000},
	{name: "large", processes: 1500, files: 60, listeners: 5000, connections: 20000},
}

// BenchmarkTick measures user and system CPU time of one scan, with its child processes. It compares porttray with a
// plain sock_diag request and with other tools. Ticks run back to back.
//
//	go test -run '^$' -bench Tick -benchtime 20x ./watcher
//
// CPU time of one tick under the middle load. The new listener belongs to a young process; that of an old one takes
// porttray 3.4 ms.
//
//	                              unchanged   new listener
//	plain sock_diag request       0.15 ms
//	porttray, with owners         0.20 ms     2.9 ms
//	ss -ltnp                      498 ms      533 ms
//	gopsutil                      956 ms      970 ms
//	lsof -iTCP -sTCP:LISTEN       1,028 ms    1,082 ms
func BenchmarkTick(b *testing.B) {
	for _, l := range loads {
		b.Run(l.name, func(b *testing.B) {
			l.start(b)
			for _, r := range rivals(b) {
				b.Run("unchanged/"+r.name, func(b *testing.B) {
					b.ReportAllocs()
					measure(b, r.tick, func() func() { return func() {} })
				})
			}
			for _, r := range rivals(b) {
				opener := newOpener(b)
				b.Run("new listener of a young process/"+r.name, func(b *testing.B) {
					measure(b, r.tick, func() func() { return opener.open(b, "young") })
				})
			}
			for _, r := range rivals(b) {
				b.Run("new listener of an old process/"+r.name, func(b *testing.B) {
					measure(b, r.tick, func() (undo func()) {
						opener := newOpener(b)
						if err := r.tick(); err != nil {
							b.Fatal(err)
						}
						opener.open(b, "old")
						return opener.end
					})
				})
			}
		})
	}
}

// BenchmarkGrowth measures an unchanged tick with twice as many connections, and then with twice as many open files.
//
//	go test -run '^$' -bench Growth -benchtime 200x ./watcher
//
// Neither costs more.
func BenchmarkGrowth(b *testing.B) {
	connections, files := loads[1], loads[1]
	connections.connections *= 2
	files.files *= 2
	for _, l := range []struct {
		name string
		load
	}{{"middle", loads[1]}, {"twice the connections", connections}, {"twice the files", files}} {
		b.Run(l.name, func(b *testing.B) {
			l.start(b)
			for _, r := range rivals(b)[:2] {
				b.Run(r.name, func(b *testing.B) { measure(b, r.tick, func() func() { return func() {} }) })
			}
		})
	}
}

// BenchmarkPace measures the CPU time of one unchanged scan per second: a whole watcher, gopsutil in a plain loop, and
// an empty loop.
//
//	go test -run '^$' -bench Pace -benchtime 1x ./watcher
//
// Caches are cold at this pace. The watcher takes 0.9 ms of CPU time a second; the empty loop takes 0.12 ms.
func BenchmarkPace(b *testing.B) {
	loads[1].start(b)
	every := func(ctx context.Context, tick func()) {
		for t := time.NewTicker(time.Second); ctx.Err() == nil; <-t.C {
			tick()
		}
	}
	for _, c := range []struct {
		name string
		run  func(context.Context)
	}{
		{"porttray", func(ctx context.Context) { (&Watcher{}).Run(ctx, make(chan Update, 100)) }},
		{"gopsutil", func(ctx context.Context) { every(ctx, func() { gopsnet.Connections("tcp") }) }},
		{"nothing", func(ctx context.Context) { every(ctx, func() {}) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				const span = 20 * time.Second
				ctx, cancel := context.WithCancel(b.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					c.run(ctx)
				}()
				time.Sleep(5 * time.Second) // the first scan reads everything
				before := cpuTime()
				time.Sleep(span)
				b.ReportMetric(float64(cpuTime()-before)/1e6/span.Seconds(), "cpu-ms/s")
				cancel()
				<-done
			}
		})
	}
}

// measure runs a tick b.N times, each after prepare, and reports the cost of the ticks alone.
func measure(b *testing.B, tick func() error, prepare func() (undo func())) {
	if err := tick(); err != nil {
		b.Fatal(err)
	}
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		undo := prepare()
		b.StartTimer()
		before := cpuTime()
		if err := tick(); err != nil {
			b.Fatal(err)
		}
		cpu += cpuTime() - before
		b.StopTimer()
		undo()
		b.StartTimer()
	}
	b.ReportMetric(float64(cpu)/1e6/float64(b.N), "cpu-ms/tick")
}

// cpuTime returns the CPU time of this process and of its ended children.
func cpuTime() time.Duration {
	var self, children unix.Rusage
	if err := errors.Join(unix.Getrusage(unix.RUSAGE_SELF, &self),
		unix.Getrusage(unix.RUSAGE_CHILDREN, &children)); err != nil {
		panic(err)
	}
	return time.Duration(self.Utime.Nano() + self.Stime.Nano() + children.Utime.Nano() + children.Stime.Nano())
}

// A rival is a way to list listeners.
type rival struct {
	name string
	tick func() error
}

func rivals(b *testing.B) []rival {
	b.Helper()
	fast, err := newFastScanner()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(fast.close)
	bare, err := openDiag()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(bare.close)
	var rows []row
	all := []rival{
		{"porttray", func() error { _, err := fast.scan(b.Context()); return err }},
		{"bare sock_diag", func() (err error) { rows, _, err = bare.list(rows[:0]); return err }},
		{"gopsutil", func() error { _, err := gopsnet.Connections("tcp"); return err }},
	}
	for _, args := range [][]string{{"ss", "-H", "-ltnp"}, {"lsof", "-nP", "-iTCP", "-sTCP:LISTEN"}} {
		if path, err := exec.LookPath(args[0]); err == nil {
			all = append(all, rival{args[0], func() error { return exec.Command(path, args[1:]...).Run() }})
		}
	}
	return all
}

// start creates the load and removes it at the end. It returns the port of all connections, which has no listener any
// more. This process needs few files, because each process gets its files before the next one starts.
func (l load) start(b *testing.B) uint16 {
	b.Helper()
	server := listenTCP(b, "127.0.0.1:0")
	defer server.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	home := b.TempDir()
	share := func(total, i int) int { return total*(i+1)/l.processes - total*i/l.processes }
	for i := range l.processes {
		var files []*os.File
		give := func(socket interface {
			File() (*os.File, error)
			Close() error
		}) {
			f, err := socket.File()
			if err != nil {
				b.Fatal(err)
			}
			socket.Close()
			files = append(files, f)
		}
		for range share(l.listeners, i) {
			give(listenTCP(b, "127.0.0.1:0"))
		}
		for range share(l.connections, i) {
			client, err := net.Dial("tcp", server.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			accepted, err := server.AcceptTCP()
			if err != nil {
				b.Fatal(err)
			}
			give(client.(*net.TCPConn))
			give(accepted)
		}
		own := len(files)
		for len(files) < l.files {
			files = append(files, null)
		}
		dir := ""
		if l.projects {
			dir = newProject(b, home, i)
		}
		sleeper(b, dir, files)
		for _, f := range files[:own] {
			f.Close()
		}
	}
	return portOf(server)
}

// sleeper starts a small process that only holds these files. It works in dir; "" is the directory of this process.
func sleeper(tb testing.TB, dir string, files []*os.File) *exec.Cmd {
	tb.Helper()
	cmd := exec.Command("sleep", "3600")
	cmd.Dir = dir
	cmd.ExtraFiles = files
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func listenTCP(tb testing.TB, addr string) *net.TCPListener {
	tb.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	return l.(*net.TCPListener)
}

// An opener is an existing process that opens listeners on request. Its parent is a shell, as usual.
type opener struct {
	in  io.WriteCloser
	out *bufio.Scanner
	cmd *exec.Cmd
}

func newOpener(b *testing.B) *opener {
	b.Helper()
	cmd := exec.Command("sh", "-c", `"$0"; true`, os.Args[0])
	cmd.Env = append(os.Environ(), "PORTTRAY_TEST_ROLE=open")
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	o := &opener{in, bufio.NewScanner(out), cmd}
	b.Cleanup(o.end)
	o.tell(b, "close") // its answer shows that it is ready
	return o
}

func (o *opener) end() {
	o.in.Close()
	_ = o.cmd.Wait()
}

func (o *opener) tell(b *testing.B, what string) {
	b.Helper()
	if _, err := fmt.Fprintln(o.in, what); err != nil {
		b.Fatal(err)
	}
	if !o.out.Scan() {
		b.Fatal("the opener has ended")
	}
}

// start makes a new process in dir open a listener, and returns the port.
func (o *opener) start(b *testing.B, dir string) uint16 {
	o.tell(b, "new "+dir)
	port, err := strconv.ParseUint(o.out.Text(), 10, 16)
	if err != nil {
		b.Fatal(err)
	}
	return uint16(port)
}

// open opens a listener, in the opener itself or in a new child of it.
func (o *opener) open(b *testing.B, by string) (undo func()) {
	o.tell(b, by)
	return func() { o.tell(b, "close") }
}

// newProcess starts a process that opens a listener, and returns its first line.
func newProcess(dir string) (said string, end func(), err error) {
	cmd := roleCommand("listen", "127.0.0.1:0")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	return lines.Text(), func() { in.Close(); _ = cmd.Wait() }, lines.Err()
}

// roleOpen reads lines. Each opens a listener or closes the open one.
func roleOpen() error {
	shut := func() {}
	said := "done"
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println(said) {
		shut()
		shut, said = func() {}, "done"
		if lines.Text() == "close" {
			continue
		}
		if dir, ok := strings.CutPrefix(lines.Text(), "new "); ok {
			var err error
			if said, shut, err = newProcess(dir); err != nil {
				return err
			}
			continue
		}
		socket, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		shut = func() { socket.Close() }
		if lines.Text() == "young" {
			f, err := socket.(*net.TCPListener).File()
			if err != nil {
				return err
			}
			socket.Close()
			cmd := exec.Command("sleep", "3600")
			cmd.ExtraFiles = []*os.File{f}
			if err := cmd.Start(); err != nil {
				return err
			}
			f.Close()
			shut = func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}
		}
	}
	shut()
	return nil
}
