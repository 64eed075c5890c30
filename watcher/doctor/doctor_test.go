package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

// wellFormed fails the test for findings that break the promises of Finding.
func wellFormed(t *testing.T, all []Finding) {
	t.Helper()
	for _, f := range all {
		if f.Topic == "" || f.Says == "" {
			t.Errorf("%+v says nothing", f)
		}
		if (f.State == Works) != (f.Fix == "") {
			t.Errorf("%+v has the fix %q", f, f.Fix)
		}
		if f.Fatal && f.State != Broken {
			t.Errorf("%+v is fatal, and not broken", f)
		}
		for _, text := range []string{f.Topic, f.Says, f.Fix} {
			if text != owner.Printable(text, 0) {
				t.Errorf("%+v has a text that is not fit to show: %q", f, text)
			}
		}
		if len([]rune(f.Says)) > 3*maxSays {
			t.Errorf("%s says %d characters", f.Topic, len([]rune(f.Says)))
		}
	}
}

// text formats a finding as the tests below expect it.
func text(f Finding) string {
	s := fmt.Sprintf("%s %v: %s", f.Topic, f.State, f.Says)
	if f.Fix != "" {
		s += " → " + f.Fix
	}
	if f.Fatal {
		s += " (fatal)"
	}
	return s
}

// about returns the findings on a topic.
func about(all []Finding, topic string) []string {
	var texts []string
	for _, f := range all {
		if f.Topic == topic {
			texts = append(texts, text(f))
		}
	}
	return texts
}

// well is a system without problems.
func well() checks {
	return checks{
		system:  func() string { return "Debian 12, Linux 6.18" },
		try:     func(context.Context) (watcher.Trial, error) { return trial("sock_diag"), nil },
		hidepid: func() string { return "" },
		exits:   func() error { return nil },
		engines: func(context.Context) engine.List { return engine.List{} },
		goos:    "linux",
	}
}

func trial(source string, listeners ...server.Listener) watcher.Trial {
	return watcher.Trial{Snapshot: watcher.Snapshot{Source: source, Listeners: listeners},
		First: 3456 * time.Microsecond, Again: 42 * time.Microsecond}
}

// at returns a listener with an owner.
func at(port uint16, addr string, p owner.Process) server.Listener {
	return server.Listener{Port: port, Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Owner: p}
}

// because is an error in plain words that wraps its cause.
type because struct {
	words string
	cause error
}

func (b because) Error() string { return b.words }
func (b because) Unwrap() error { return b.cause }

var (
	mine    = owner.Process{PID: 7, Start: 1}
	foreign = owner.Process{Foreign: true}
	unknown = owner.Process{}
)

func TestFindings(t *testing.T) {
	const sudo = "to see them, run sudo porttray list --all, or porttray list --all as the other user; the tray " +
		"needs no root"
	scanned := func(l *checks, t watcher.Trial, err error) {
		l.try = func(context.Context) (watcher.Trial, error) { return t, err }
	}
	listening := func(listeners ...server.Listener) func(*checks) {
		return func(l *checks) { scanned(l, trial("sock_diag", listeners...), nil) }
	}
	detour := func(source string, err error) func(*checks) {
		return func(l *checks) {
			t := trial(source)
			t.Detour = fmt.Errorf("open a sock_diag socket: %w", err)
			scanned(l, t, nil)
		}
	}
	failed := func(goos string, err error) func(*checks) {
		return func(l *checks) {
			l.goos = goos
			scanned(l, watcher.Trial{}, fmt.Errorf("list TCP sockets: %w", err))
		}
	}
	engines := func(list engine.List) func(*checks) {
		return func(l *checks) { l.engines = func(context.Context) engine.List { return list } }
	}
	published := func(port uint16, addr, socket string) engine.Published {
		return engine.Published{Addr: netip.MustParseAddr(addr), Port: port, Container: engine.Container{ID: "ab",
			Endpoint: socket}}
	}
	then := func(all ...func(*checks)) func(*checks) {
		return func(l *checks) {
			for _, change := range all {
				change(l)
			}
		}
	}
	tests := []struct {
		name   string
		change func(*checks)
		topic  string
		want   []string
	}{
		{"system", func(*checks) {}, "system", []string{"system works: Debian 12, Linux 6.18, " + runtime.GOARCH}},
		{"hostile system", func(l *checks) { l.system = func() string { return "De\x1b[31mbian\n12\u202e" } }, "system",
			[]string{"system works: De [31mbian 12, " + runtime.GOARCH}},

		{"nothing listens", func(*checks) {}, "listeners",
			[]string{"listeners works: 0 listeners on 0 ports, listed by sock_diag; the first scan took 3.46ms, the " +
				"next one 40µs"}},
		{"two on one port", listening(at(80, "127.0.0.1", mine), at(80, "::1", foreign)), "listeners",
			[]string{"listeners works: 2 listeners on 1 port, listed by sock_diag; the first scan took 3.46ms, the " +
				"next one 40µs"}},
		{"sandbox", detour("/proc/net/tcp", because{"operation not permitted", fs.ErrPermission}), "listeners",
			[]string{"listeners lacks: 0 listeners on 0 ports, listed by /proc/net/tcp; " +
				"the first scan took 3.46ms, the next one 40µs. A faster method fails here: " +
				"open a sock_diag socket: operation not permitted → " +
				"run porttray outside the sandbox (Snap, Flatpak, a container's filter) that forbids netlink " +
				"sockets; inside it, scans are only slower"}},
		{"no module", detour("/proc/net/tcp", because{"no such file or directory", syscall.ENOENT}), "listeners",
			[]string{"listeners lacks: 0 listeners on 0 ports, listed by /proc/net/tcp; " +
				"the first scan took 3.46ms, the next one 40µs. A faster method fails here: " +
				"open a sock_diag socket: no such file or directory" +
				" → load the kernel module tcp_diag (sudo modprobe tcp_diag); without it, scans are only slower"}},
		{"gVisor", detour("/proc/net/tcp", errors.New("protocol not supported")), "listeners",
			[]string{"listeners lacks: 0 listeners on 0 ports, listed by /proc/net/tcp; " +
				"the first scan took 3.46ms, the next one 40µs. A faster method fails here: open a sock_diag socket: " +
				"protocol not supported" +
				" → use a kernel with sock_diag (WSL 1 and gVisor have none); without it, scans are only slower"}},
		{"neither", detour("gopsutil", errors.New("too many open files")), "listeners",
			[]string{"listeners lacks: 0 listeners on 0 ports, listed by gopsutil; " +
				"the first scan took 3.46ms, the next one 40µs. A faster method fails here: " +
				"open a sock_diag socket: too many open files" +
				" → let this program read /proc/net/tcp and use netlink sockets; without them, scans are only slower"}},
		{"no list", failed("linux", because{"permission denied", fs.ErrPermission}), "listeners",
			[]string{"listeners broken: cannot be listed: list TCP sockets: permission denied" +
				" → let this program read /proc/net/tcp or use netlink sockets; a sandbox blocks both (fatal)"}},
		{"no list, and why is not known", failed("linux", errors.New("out\nof order")), "listeners",
			[]string{"listeners broken: cannot be listed: list TCP sockets: out of order" +
				" → try again; if it still fails, the computer is overloaded, or a sandbox blocks the list (fatal)"}},
		{"no lsof", failed("darwin", fs.ErrNotExist), "listeners",
			[]string{"listeners broken: cannot be listed: list TCP sockets: file does not exist" +
				" → check that lsof -nP -iTCP -sTCP:LISTEN works in a terminal; porttray uses it (fatal)"}},

		{"no list, no owners", failed("linux", because{"permission denied", fs.ErrPermission}), "owners", nil},
		{"visible owners", listening(at(80, "127.0.0.1", mine)), "owners",
			[]string{"owners works: the owner of every listener is visible"}},
		{"another user's that is visible", listening(at(80, "127.0.0.1",
			owner.Process{PID: 8, Start: 1, Foreign: true})), "owners",
			[]string{"owners works: the owner of every listener is visible"}},
		{"another user's", listening(at(53, "127.0.0.1", foreign), at(80, "127.0.0.1", mine), at(631, "::1", foreign)),
			"owners",
			[]string{"owners lacks: the owners of 2 of 3 listeners are hidden; held by other users' processes: 53, " +
				"631 → " + sudo}},
		{"hidepid", then(listening(at(53, "127.0.0.1", foreign)),
			func(l *checks) { l.hidepid = func() string { return "hidepid=2" } }), "owners",
			[]string{"owners lacks: the owners of 1 of 1 listener are hidden; held by other users' processes: 53; " +
				"/proc hides processes (hidepid=2) → " + sudo}},
		{"nobody's", listening(at(53, "127.0.0.1", foreign), at(2049, "0.0.0.0", unknown)), "owners",
			[]string{"owners lacks: the owners of 2 of 2 listeners are hidden; held by other users' processes: 53; " +
				"held by a process of this user that hides its files or runs in another container: 2049 → " + sudo}},
		{"nobody's for root", then(listening(at(2049, "0.0.0.0", unknown)), func(l *checks) { l.root = true }),
			"owners",
			[]string{"owners lacks: the owners of 1 of 1 listener are hidden; held by the kernel, or by a process in " +
				"another container: 2049" +
				" → run porttray on the host or in the other container; the kernel's own listeners have no process"}},
		{"on Windows", func(l *checks) {
			l.goos = "windows"
			scanned(l, trial("gopsutil", at(80, "0.0.0.0", unknown)), nil)
		}, "owners", []string{"owners lacks: the owners of 1 of 1 listener are hidden; held by processes that this " +
			"system does not show: 80" +
			" → to see them, run porttray list --all in a terminal of an administrator; the tray does not need it"}},
		{"many", listening(at(1, "::1", foreign), at(2, "::1", foreign), at(2, "127.0.0.1", foreign),
			at(3, "::1", foreign), at(4, "::1", foreign),
			at(5, "::1", foreign), at(6, "::1", foreign), at(7, "::1", foreign), at(8, "::1", foreign)), "owners",
			[]string{"owners lacks: the owners of 9 of 9 listeners are hidden; held by other users' processes: 1, 2, " +
				"3, 4, 5, 6 and 2 more → " + sudo}},
		{"a container's", then(listening(at(80, "127.0.0.1", foreign), at(90, "0.0.0.0", foreign),
			at(100, "127.0.0.1", foreign)), engines(engine.List{
			Answered: []string{"/docker.sock"},
			Published: []engine.Published{published(80, "127.0.0.1", "/docker.sock"),
				published(90, "::", "/docker.sock"), published(100, "192.0.2.1", "/docker.sock")},
		})), "owners", []string{"owners lacks: the owners of 3 of 3 listeners are hidden; held for known " +
			"containers: 80, 90; " +
			"held by other users' processes: 100 → " + sudo}},
		{"containers' only", then(listening(at(80, "127.0.0.1", foreign)), engines(engine.List{
			Answered:  []string{"/docker.sock"},
			Published: []engine.Published{published(80, "127.0.0.1", "/docker.sock")},
		})), "owners", []string{"owners works: the owners of 1 of 1 listener are hidden; held for known " +
			"containers: 80"}},

		{"endings", func(*checks) {}, "endings", []string{"endings works: porttray can see why any server ended"}},
		{"old kernel", func(l *checks) {
			l.exits = func() error {
				return errors.New("kernels before Linux 6.15 do not tell")
			}
		}, "endings",
			[]string{"endings lacks: porttray cannot see why a server ended: kernels before Linux 6.15 do not tell" +
				" → use Linux 6.15 or newer, outside a sandbox; porttray still notices that a server ended"}},
		{"endings on macOS", func(l *checks) {
			l.goos, l.exits = "darwin", func() error { return errors.New("this system tells only the parent") }
		}, "endings", []string{"endings lacks: porttray cannot see why a server ended: this system tells " +
			"only the parent" +
			" → none is known for this system; porttray still notices that a server ended"}},
		{"endings with the portable scan", detour("gopsutil", errors.New("too many open files")), "endings",
			[]string{"endings lacks: porttray cannot see why a server ended: listeners are not listed in " +
				"the usual way" +
				" → use Linux 6.15 or newer, outside a sandbox; porttray still notices that a server ended"}},

		{"no engine", func(*checks) {}, "containers",
			[]string{"containers works: there is no container engine in the usual places"}},
		{"engines", engines(engine.List{
			Answered: []string{"/a.sock", "/b.sock"},
			Published: []engine.Published{published(80, "127.0.0.1", "/a.sock"), published(90, "::", "/b.sock"),
				published(100, "::", "/b.sock")},
			Spared: []string{"/run/podman/podman.sock"},
			Failed: []engine.Failure{
				{Endpoint: "/c.sock", Err: because{"Docker is not running", engine.ErrNotRunning}},
				{Endpoint: "/d.sock", Err: because{"Docker may not be asked by this user", fs.ErrPermission}},
				{Endpoint: "/e\x1b.sock", Err: errors.New("the container engine does not answer")},
			},
		}), "containers", []string{
			"containers works: the engine at /a.sock answers and publishes 1 port",
			"containers works: the engine at /b.sock answers and publishes 2 ports",
			"containers works: Docker is not running (/c.sock)",
			"containers lacks: Docker may not be asked by this user (/d.sock) → add this user to the group of the " +
				"socket (usually docker) and log in again; " +
				"this gives the user the power of root; without it, the names of its containers are unknown",
			"containers lacks: the container engine does not answer (/e .sock) → check that docker ps works, and " +
				"whether the engine is yours or the system's; " +
				"without an answer, the names of its containers are unknown",
			"containers works: the engine at /run/podman/podman.sock was not asked, because that would start it",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := well()
			tt.change(&l)
			all := l.findings(t.Context())
			wellFormed(t, all)
			if got := about(all, tt.topic); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestFindingsHang has checks that never end, and a caller that gives up.
func TestFindingsHang(t *testing.T) {
	const late, given = "%s broken: no answer within %s → try again; the computer may be overloaded, or a network " +
		"drive may not answer",
		"%s lacks: the check was interrupted → try again"
	tests := []struct {
		name   string
		hang   func(l *checks, hang func())
		cancel time.Duration
		took   time.Duration
		topics string // of all findings
		want   string // among them
	}{
		{"engines", func(l *checks, hang func()) {
			l.engines = func(context.Context) engine.List { hang(); return engine.List{} }
		}, 0, 2 * time.Second, "system listeners owners endings containers", fmt.Sprintf(late, "containers", "2s")},
		{"files", func(l *checks, hang func()) {
			l.system = func() string { hang(); return "" }
		}, 0, 2 * time.Second, "system listeners owners containers", fmt.Sprintf(late, "system", "2s")},
		{"scan", func(l *checks, hang func()) {
			l.try = func(context.Context) (watcher.Trial, error) { hang(); return watcher.Trial{}, nil }
		}, 0, 10 * time.Second, "system listeners endings containers", fmt.Sprintf(late, "listeners", "10s") +
			" (fatal)"},
		{"scan, given up", func(l *checks, hang func()) {
			l.try = func(context.Context) (watcher.Trial, error) { hang(); return watcher.Trial{}, nil }
		}, time.Second, time.Second, "system listeners endings containers", fmt.Sprintf(given, "listeners")},
		{"scan breaks off, given up", func(l *checks, _ func()) {
			l.try = func(ctx context.Context) (watcher.Trial, error) { <-ctx.Done(); return watcher.Trial{}, ctx.Err() }
		}, time.Second, time.Second, "system listeners endings containers", fmt.Sprintf(given, "listeners")},
		{"given up before", func(*checks, func()) {}, -1, 0, "system listeners containers",
			fmt.Sprintf(given, "system")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				switch {
				case tt.cancel < 0:
					cancel()
				case tt.cancel > 0:
					time.AfterFunc(tt.cancel, cancel)
				}
				released := make(chan struct{})
				defer close(released)
				l := well()
				tt.hang(&l, func() { <-released })
				start := time.Now()
				all := l.findings(ctx)
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				wellFormed(t, all)
				var topics, texts []string
				for _, f := range all {
					topics, texts = append(topics, f.Topic), append(texts, text(f))
				}
				if strings.Join(topics, " ") != tt.topics || !slices.Contains(texts, tt.want) {
					t.Errorf("got\n%s\nwant %s, with\n%s", strings.Join(texts, "\n"), tt.topics, tt.want)
				}
			})
		})
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 4 * time.Microsecond: "0s", 42 * time.Microsecond: "40µs", 1234567 * time.Nanosecond: "1.23ms",
		12345 * time.Microsecond: "12ms", 1234 * time.Millisecond: "1.2s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestParseHidepid(t *testing.T) {
	const dev = "25 30 0:5 / /dev rw,nosuid - devtmpfs udev rw,hidepid=2\n"
	proc := func(options string) string {
		return "63 45 0:39 / /proc rw,relatime shared:12 - proc proc " + options + "\n"
	}
	tests := []struct{ name, mounts, want string }{
		{"nothing", "", ""},
		{"no /proc", dev, ""},
		{"open", dev + proc("rw"), ""},
		{"a number", proc("rw,gid=4,hidepid=2"), "hidepid=2"},
		{"a word", proc("rw,hidepid=invisible"), "hidepid=invisible"},
		{"ptraceable", proc("rw,hidepid=ptraceable,subset=pid"), "hidepid=ptraceable"},
		{"switched off", proc("rw,hidepid=off") + proc("rw,hidepid=0"), ""},
		{"covered by one that hides", proc("rw") + proc("rw,hidepid=1"), "hidepid=1"},
		{"covered by one that does not", proc("rw,hidepid=1") + proc("rw"), ""},
		{"covered by another file system", proc("rw,hidepid=1") + "64 45 0:40 / /proc rw - tmpfs tmpfs rw\n", ""},
		{"below /proc", "64 45 0:40 / /proc/sys rw - proc proc rw,hidepid=1\n", ""},
		{"torn", "63 45 0:39 / /proc rw - proc\n63 - proc proc rw,hidepid=2\n - \n", ""},
	}
	for _, tt := range tests {
		if got := parseHidepid(tt.mounts); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestPodman has forwarders of Podman without its socket.
func TestPodman(t *testing.T) {
	forwarder := func(name, user string, foreign bool) server.Listener {
		return server.Listener{Owner: owner.Process{PID: 7, Name: name, User: user, Foreign: foreign,
			Refusal: "forwards for a container or VM"}}
	}
	for _, tt := range []struct {
		name string
		l    server.Listener
		want string
	}{
		{"rootless", forwarder("rootlessport", "1000", false), "systemctl --user start podman.socket"},
		{"root's", forwarder("conmon", "0", false), "systemctl start podman.socket"},
		{"another user's", forwarder("conmon", "0", true), ""},
		{"Docker's", forwarder("docker-proxy", "0", false), ""},
		{"no forwarder", server.Listener{Owner: owner.Process{PID: 7, Name: "pasta"}}, ""},
	} {
		got := podman([]server.Listener{tt.l})
		wellFormed(t, got)
		if (len(got) > 0) != (tt.want != "") || len(got) > 0 && !strings.HasPrefix(got[0].Fix, tt.want+";") {
			t.Errorf("%s: got %+v, want %q", tt.name, got, tt.want)
		}
	}
}
