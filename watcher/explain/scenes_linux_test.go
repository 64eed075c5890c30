package explain

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porttray/watcher/server"
)

// roleKey is the environment variable that makes the test binary play another part.
const roleKey = "PORTTRAY_TEST_ROLE"

func TestMain(m *testing.M) {
	roles := map[string]func(args []string) error{"scene": beScene, "server": beServer, "asker": beAsker}
	role, ok := roles[os.Getenv(roleKey)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A scene is a situation on a simulated computer: a network namespace with loopback only.
type scene struct {
	// set prepares the scene. Its processes run until the end of the scene.
	set func(s *stage) error
	ask string
	// user is the ID of the user who asks; 0 is root.
	user  int
	probe bool
	want  func(a Answer) error
	needs string               // a program that must be installed
	after func(s *stage) error // checks the stage after the answer
}

const nobody = 65534

var scenes = map[string]scene{
	"nothing is there": {ask: "3000", want: all(trouble(NotRunning), connects("127.0.0.1 refused, ::1 refused"),
		binds("127.0.0.1 free, ::1 free, 0.0.0.0 free, :: free"), advises("porttray wait 3000"))},
	"a server": {set: serve("tcp", "127.0.0.1:3000"), ask: "3000",
		want: all(trouble(None), connects("127.0.0.1 accepted listening, ::1 refused"),
			binds("127.0.0.1 in use by server, ::1 free, 0.0.0.0 in use by server, :: in use by server"),
			advises("porttray stop 3000"), says("Free ports: 3001, 3002, 3003"))},
	"on ::1 only, asked as 127.0.0.1": {set: serve("tcp", "[::1]:3000"), ask: "127.0.0.1:3000",
		want: all(trouble(NotRunning), listeners("server at ::1"), advises("http://[::1]:3000"),
			connects("127.0.0.1 refused, ::1 accepted listening"))},
	"on 127.0.0.2 only": {set: serve("tcp", "127.0.0.2:3000"), ask: "3000",
		want: all(trouble(None), advises("http://127.0.0.2:3000"),
			connects("127.0.0.1 refused, ::1 refused, 127.0.0.2 accepted listening"))},
	"on 127.0.0.2, asked so": {set: serve("tcp", "127.0.0.2:3000"), ask: "http://127.0.0.2:3000/",
		want: all(trouble(None))},
	"dual-stack, asked as 127.0.0.1": {set: serve("tcp", "[::]:3000"), ask: "127.0.0.1:3000",
		want: all(trouble(None), connects("127.0.0.1 accepted listening, ::1 accepted listening"))},
	"IPv6 alone, asked as 127.0.0.1": {set: serve("v6only", "[::]:3000"), ask: "127.0.0.1:3000",
		want: all(trouble(NotRunning), advises("http://[::1]:3000"))},
	"workers of one server": {set: serve("reuseport", "127.0.0.1:3000", "reuseport", "127.0.0.1:3000"), ask: "3000",
		want: all(trouble(None), listeners("server at 127.0.0.1, server at 127.0.0.1"), advises("porttray stop 3000"))},
	"two owners of one address": {set: func(s *stage) error {
		return errors.Join(s.serve("reuseport", "127.0.0.1:3000"), s.serveAs("other", "reuseport", "127.0.0.1:3000"))
	}, ask: "3000", want: all(trouble(InUse), listeners("server at 127.0.0.1, other at 127.0.0.1"), advises("--pid"))},
	"two owners of localhost": {set: serve("tcp", "127.0.0.1:3000", "tcp", "[::1]:3000"), ask: "3000",
		want: all(trouble(InUse), advises("stop [::1]:3000"))},
	"two owners, one talked to": {set: serve("banner", "127.0.0.1:3000", "http", "[::1]:3000"),
		ask: "[::1]:3000", probe: true, want: probed(Probe{HTTP: &Page{Status: "200 OK", Server: "a b",
			Title: "Tom & Jerry"}})},
	"two owners, one of which is meant": {set: serve("tcp", "127.0.0.1:3000", "tcp", "[::1]:3000"), ask: "[::1]:3000",
		want: all(trouble(None))},
	"a full backlog": {set: func(s *stage) error {
		return errors.Join(s.serve("silent", "127.0.0.1:3000"), s.fill("127.0.0.1:3000"))
	}, ask: "3000",
		want: all(trouble(Hangs), connects("127.0.0.1 no answer listening, ::1 refused"), func(a Answer) error {
			if q := a.Listeners[0].Queue; q == nil || !q.Full || q.Waiting == 0 {
				return fmt.Errorf("the queue is %+v", q)
			}
			return nil
		})},
	"dropped by a firewall": {set: func(s *stage) error {
		return errors.Join(s.serve("tcp", "127.0.0.1:3000"),
			run("nft", "add table inet t; add chain inet t i { type filter hook input priority 0; }; add rule inet t "+
				"i tcp dport 3000 drop"))
	}, ask: "3000", want: all(trouble(Filtered), connects("127.0.0.1 no answer listening, ::1 no answer"),
		advises("sudo nft list ruleset"))},
	"rejected by a firewall": {set: func(s *stage) error {
		return errors.Join(s.serve("tcp", "127.0.0.1:3000"),
			run("nft", "add table ip t; add chain ip t i { type filter hook input priority 0; }; add rule ip t i tcp "+
				"dport 3000 reject with tcp reset"))
	}, ask: "3000", want: all(trouble(Filtered), connects("127.0.0.1 refused listening, ::1 refused"))},
	"a privileged port, by an ordinary user": {ask: "80", user: nobody, want: all(trouble(NotRunning),
		binds("127.0.0.1 not permitted, ::1 not permitted, 0.0.0.0 not permitted, :: not permitted"),
		advises("sudo sysctl net.ipv4.ip_unprivileged_port_start=80"),
		func(a Answer) error {
			if a.Port.Privileged == nil || !*a.Port.Privileged {
				return errors.New("the port is not said to be privileged")
			}
			return nil
		})},
	"another user's process": {set: serve("tcp", "127.0.0.1:3000"), ask: "3000", user: nobody,
		want: all(trouble(None), listeners("- of root at 127.0.0.1"),
			advises("sudo porttray explain 3000"),
			binds("127.0.0.1 in use by - of root, ::1 free, 0.0.0.0 in use by - of root, :: in use by - of root"))},
	"a container's port": {set: func(s *stage) error {
		s.environment = append(s.environment, "DOCKER_HOST=unix://"+s.path("docker.sock"))
		return errors.Join(s.serveAs("docker-proxy", "tcp", "0.0.0.0:5432"), s.engine())
	}, ask: "5432", want: all(trouble(None), advises("porttray stop 5432"), says("docker run -p 5433:"),
		func(a Answer) error {
			if h := a.Listeners[0]; h.Container != "shop-db-1" || h.Project != "shop" || h.Tool != "PostgreSQL" ||
				len(h.Parents) != 0 {
				return fmt.Errorf("the listener is %+v", h)
			}
			return nil
		})},
	"UDP only": {set: serve("udp", "127.0.0.1:3000"), ask: "3000", want: all(trouble(NotRunning), says("UDP port 3000"),
		func(a Answer) error {
			if len(a.UDP) != 1 || a.UDP[0].PID == 0 || a.UDP[0].Address.String() != "127.0.0.1" ||
				a.UDP[0].Process.Process != "server" {
				return fmt.Errorf("UDP: %+v", a.UDP)
			}
			return nil
		})},
	"in TIME_WAIT": {set: func(s *stage) error { return s.linger("127.0.0.1:3000") }, ask: "3000",
		want: all(trouble(NotRunning), says("SO_REUSEADDR"),
			binds("127.0.0.1 lingering, ::1 free, 0.0.0.0 lingering, :: lingering"), func(a Answer) error {
				if a.Lingering == nil || *a.Lingering != 1 {
					return errors.New("not one connection lingers")
				}
				return nil
			})},
	"without IPv6": {set: func(s *stage) error {
		return errors.Join(os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0),
			s.serve("tcp", "127.0.0.1:3000"))
	}, ask: "localhost:3000", want: all(trouble(None), connects("127.0.0.1 accepted listening, ::1 unreachable"),
		func(a Answer) error {
			if a.Binds[1].Result != "unavailable" {
				return fmt.Errorf("::1 can be bound: %+v", a.Binds[1])
			}
			return nil
		})},
	"the near end of a connection": {set: func(s *stage) error {
		return errors.Join(s.serve("tcp", "127.0.0.1:4000"), s.serve("client", "127.0.0.1:3000 127.0.0.1:4000"))
	}, ask: "3000", want: all(trouble(InUse),
		binds("127.0.0.1 in use by server, ::1 free, 0.0.0.0 in use by server, :: in use by server"),
		says("server (PID"), says("uses it for a connection"), says("Free ports: 3001"))},
	"bound and not listening": {set: serve("bound", "127.0.0.1:3000"), ask: "3000",
		want: all(trouble(InUse), says("server (PID"),
			binds("127.0.0.1 in use by server, ::1 free, 0.0.0.0 in use by server, :: in use by server"))},
	"open to the network": {set: func(s *stage) error {
		return errors.Join(run("ip", "addr", "add", "192.0.2.7/32", "dev", "lo"), s.serveAs("redis-server", "tcp",
			"0.0.0.0:6379"))
	}, ask: "6379", want: all(trouble(None), says("bind it to 127.0.0.1"), func(a Answer) error {
		if len(a.Reachable) != 1 || a.Reachable[0].Name != "lo" || a.Reachable[0].Address.String() != "192.0.2.7" ||
			a.Risk != server.Database {
			return fmt.Errorf("reachable at %v, risk %q", a.Reachable, a.Risk)
		}
		return nil
	})},
	"another computer's address": {set: serve("tcp", "0.0.0.0:3000"), ask: "198.51.100.1:3000",
		want: all(trouble(None), says("porttray explain 3000"), func(a Answer) error {
			if a.Listens || a.Address.Kind != Elsewhere {
				return fmt.Errorf("it listens: %t, at %+v", a.Listens, a.Address)
			}
			return nil
		})},
	"a link-local address": {set: func(s *stage) error {
		return errors.Join(run("ip", "addr", "add", "fe80::1/64", "dev", "lo", "nodad"), s.serve("tcp", "[::]:3000"))
	}, ask: "[fe80::1%lo]:3000", want: all(trouble(None),
		connects("127.0.0.1 accepted listening, ::1 accepted listening, fe80::1%lo accepted listening"),
		func(a Answer) error {
			if a.Address.Kind != Own || len(a.Reachable) != 1 || a.Reachable[0].Address.String() != "fe80::1%lo" {
				return fmt.Errorf("the address is %+v, reachable at %v", a.Address, a.Reachable)
			}
			return nil
		})},
	"on a network's address only": {set: func(s *stage) error {
		return errors.Join(run("ip", "addr", "add", "192.0.2.7/32", "dev", "lo"), s.serve("tcp", "192.0.2.7:3000"))
	}, ask: "127.0.0.1:3000", want: all(trouble(NotRunning), listeners("server at 192.0.2.7"),
		says("does at 192.0.2.7"))},
	"on a network's address only, asked by its port": {set: func(s *stage) error {
		return errors.Join(run("ip", "addr", "add", "192.0.2.7/32", "dev", "lo"), s.serve("tcp", "192.0.2.7:3000"))
	}, ask: "3000", want: all(trouble(None), connects("127.0.0.1 refused, ::1 refused, 192.0.2.7 accepted listening"),
		advises("http://192.0.2.7:3000"))},
	"an own address": {set: func(s *stage) error {
		return errors.Join(run("ip", "addr", "add", "192.0.2.7/32", "dev", "lo"), s.serve("tcp", "192.0.2.7:3000"))
	}, ask: "192.0.2.7:3000", want: all(trouble(None), func(a Answer) error {
		if a.Address.Kind != Own || a.Address.Interface != "lo" {
			return fmt.Errorf("the address is %+v", a.Address)
		}
		return nil
	})},
	"HTTP": {set: serve("http", "127.0.0.1:3000"), ask: "3000", probe: true,
		want: probed(Probe{HTTP: &Page{Status: "200 OK", Server: "a b", Title: "Tom & Jerry"}})},
	"TLS": {set: serve("https", "127.0.0.1:3000"), ask: "3000", probe: true,
		want: probed(Probe{TLS: &Certificate{Names: []string{"shop.test", "127.0.0.1"},
			Issuer: "CN=shop", Expires: time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC), SelfSigned: true},
			HTTP: &Page{Status: "200 OK", Server: "a b", Title: "Tom & Jerry"}})},
	"a banner": {set: serve("banner", "127.0.0.1:3000"), ask: "3000", probe: true,
		want: probed(Probe{Banner: "SSH-2.0-made up [2J"})},
	"a server that ends by an error": {set: serve("touchy", "127.0.0.1:3000"), ask: "3000", probe: true,
		want: probed(Probe{Banner: "220 hello"})},
	"a server that is shy": {set: serve("echo", "127.0.0.1:3000"), ask: "3000", probe: true,
		want: probed(Probe{Banner: "GET / HTTP/1.1 Host: localhost:3000 User-Agent: porttray Accept: text/html, */* " +
			"Connection: close"})},
	"a server that sends without end": {set: serve("flood", "127.0.0.1:3000"), ask: "3000", probe: true,
		want: probed(Probe{HTTP: &Page{Status: "200 OK"}})},
	"a server that says nothing": {set: serve("tcp", "127.0.0.1:3000"), ask: "3000", probe: true,
		want: all(probed(Probe{}), says("does not answer"))},
	"a database that speaks first": {set: func(s *stage) error {
		return s.serveAs("mysqld", "banner", "127.0.0.1:3000")
	}, ask: "3000", probe: true,
		want: all(trouble(None), probed(Probe{Unasked: "MySQL", Banner: "SSH-2.0-made up [2J"}))},
	"a debugger's port": {set: func(s *stage) error { return s.serveAs("gdbserver", "answers", "127.0.0.1:3000") },
		ask: "3000", probe: true,
		want: all(trouble(None), probed(Probe{Unasked: "gdbserver"}))},
	"a database of another user": {set: serve("answers", "127.0.0.1:5432"), ask: "5432", user: nobody, probe: true,
		want: all(trouble(None), probed(Probe{Unasked: "PostgreSQL"}))},
	"a server of one's own at a database's port": {set: serve("http", "127.0.0.1:5432"), ask: "5432", probe: true,
		want: probed(Probe{HTTP: &Page{Status: "200 OK", Server: "a b", Title: "Tom & Jerry"}})},
	"a database on ::1 only, asked as 127.0.0.1": {set: func(s *stage) error {
		return s.serveAs("redis-server", "tcp", "[::1]:3000")
	}, ask: "127.0.0.1:3000",
		want: all(trouble(NotRunning), advisesOnly("[::1]:3000"))},
	"a database on 127.0.0.2 only": {set: func(s *stage) error {
		return s.serveAs("redis-server", "tcp", "127.0.0.2:3000")
	}, ask: "3000",
		want: all(trouble(None), advisesOnly("127.0.0.2:3000"))},
	"Redis": {needs: "redis-server", set: (*stage).redis, ask: "6379", probe: true,
		want:  all(trouble(None), probed(Probe{Unasked: "Redis"})),
		after: quiet("Ready to accept connections")},
	"PostgreSQL": {needs: "postgres", set: (*stage).postgres, ask: "5432", probe: true,
		want:  all(trouble(None), probed(Probe{Unasked: "PostgreSQL"})),
		after: quiet("database system is ready to accept connections")},
	"not probed": {set: serve("http", "127.0.0.1:3000"), ask: "3000", want: func(a Answer) error {
		if a.Probe != nil {
			return fmt.Errorf("it was talked to: %+v", a.Probe)
		}
		return nil
	}},
}

// all combines checks.
func all(wants ...func(Answer) error) func(Answer) error {
	return func(a Answer) error {
		var errs []error
		for _, want := range wants {
			errs = append(errs, want(a))
		}
		return errors.Join(errs...)
	}
}

func equal(what, got, want string) error {
	if got != want {
		return fmt.Errorf("%s: got %q, want %q", what, got, want)
	}
	return nil
}

func trouble(want Trouble) func(Answer) error {
	return func(a Answer) error { return equal("trouble", string(a.Trouble), string(want)) }
}

func connects(want string) func(Answer) error {
	return func(a Answer) error {
		var got []string
		for _, c := range a.Connects {
			text := c.Address.String() + " " + string(c.Result)
			if c.Listens {
				text += " listening"
			}
			got = append(got, text)
		}
		return equal("connects", strings.Join(got, ", "), want)
	}
}

func name(p Process) string {
	if p.PID == 0 {
		return "- of " + p.User
	}
	return p.Process
}

func binds(want string) func(Answer) error {
	return func(a Answer) error {
		var got []string
		for _, b := range a.Binds {
			text := b.Address.String() + " " + b.Result
			for _, p := range b.By {
				text += " by " + name(p)
			}
			got = append(got, text)
		}
		return equal("binds", strings.Join(got, ", "), want)
	}
}

func listeners(want string) func(Answer) error {
	return func(a Answer) error {
		var got []string
		for _, h := range a.Listeners {
			got = append(got, name(Process{h.PID, h.Process, h.User})+" at "+JoinAddrs(h.Addresses, " and "))
		}
		return equal("listeners", strings.Join(got, ", "), want)
	}
}

func advises(part string) func(Answer) error {
	return func(a Answer) error {
		if !slices.ContainsFunc(a.Advice, func(advice Advice) bool { return strings.Contains(advice.Command, part) }) {
			return fmt.Errorf("no command %q is advised: %+v", part, a.Advice)
		}
		return nil
	}
}

// advisesOnly wants exactly this command.
func advisesOnly(command string) func(Answer) error {
	return func(a Answer) error {
		if !slices.ContainsFunc(a.Advice, func(advice Advice) bool { return advice.Command == command }) {
			return fmt.Errorf("no command is %q: %+v", command, a.Advice)
		}
		return nil
	}
}

func says(part string) func(Answer) error {
	return func(a Answer) error {
		for _, advice := range a.Advice {
			if strings.Contains(advice.Says+" "+advice.Command, part) {
				return nil
			}
		}
		return fmt.Errorf("%q is not said: %+v", part, a.Advice)
	}
}

func probed(want Probe) func(Answer) error {
	return func(a Answer) error {
		if a.Probe == nil {
			return errors.New("it was not talked to")
		}
		got := *a.Probe
		got.Address = want.Address
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		return equal("probe", string(g), string(w))
	}
}

// TestScenes explains the port of each scene.
func TestScenes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may make networks, firewalls and other users' processes")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil && os.Getenv("CI") == "true" {
			t.Fatal(err)
		} else if err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil { // for other users
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "server")
	text, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(binary, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name := range scenes {
		t.Run(name, func(t *testing.T) {
			if program := scenes[name].needs; program != "" && find(program) == "" {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not installed", program)
				}
				t.Skipf("%s is not installed", program)
			}
			t.Parallel()
			own := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := errors.Join(os.Mkdir(own, 0o755), os.Link(binary, filepath.Join(own, "server"))); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, filepath.Join(own, "server"), name)
			cmd.Env = append(os.Environ(), roleKey+"=scene")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true" {
				t.Skip("this root may not make a network")
			}
			if err != nil {
				t.Fatalf("%v: %s", err, errs.String())
			}
			var a Answer
			if err := json.Unmarshal(out, &a); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			if err := scenes[name].want(a); err != nil {
				t.Errorf("%v\nin %s", err, out)
			}
			if a.Listens != (a.Trouble != NotRunning && len(a.Listeners) > 0 && a.Address.Kind != Elsewhere) {
				t.Errorf("listens %t, with %d listeners and the trouble %q", a.Listens, len(a.Listeners), a.Trouble)
			}
		})
	}
}

// A stage holds the directory and the processes of a scene.
type stage struct {
	dir         string
	environment []string
	end         []func()
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// beScene plays a scene and writes the answer.
func beScene(args []string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	s := &stage{dir: filepath.Dir(exe)}
	defer func() {
		for _, end := range s.end {
			end()
		}
	}()
	scene := scenes[args[0]]
	if err := run("ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	if scene.set != nil {
		if err := scene.set(s); err != nil {
			return err
		}
	}
	ask := exec.Command(exe, scene.ask, fmt.Sprint(scene.probe))
	ask.Env = append(os.Environ(), roleKey+"=asker", "HOME="+s.dir, "XDG_STATE_HOME=", "DOCKER_HOST=",
		"XDG_RUNTIME_DIR=")
	ask.Env = append(ask.Env, s.environment...)
	ask.Dir, ask.Stdout, ask.Stderr = "/", os.Stdout, os.Stderr
	if scene.user != 0 {
		ask.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(scene.user),
			Gid: uint32(scene.user)}}
	}
	if err := ask.Run(); err != nil || scene.after == nil {
		return err
	}
	return scene.after(s)
}

// find returns the path of a program, or nothing if it is not installed. Debian keeps PostgreSQL outside PATH.
func find(program string) string {
	if path, err := exec.LookPath(program); err == nil {
		return path
	}
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + program); len(found) > 0 {
		return found[len(found)-1]
	}
	return ""
}

// redis starts a real Redis.
func (s *stage) redis() error {
	return s.real(0, "Ready to accept connections", "redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", s.dir)
}

// postgres starts a real PostgreSQL as an ordinary user, because it refuses to run as root.
func (s *stage) postgres() error {
	data := s.path("data")
	if err := errors.Join(os.Mkdir(data, 0o700), os.Chown(data, nobody, nobody)); err != nil {
		return err
	}
	init := exec.Command(find("initdb"), "--no-sync", "--auth=trust", "--pgdata="+data)
	init.Dir, init.SysProcAttr = data, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return s.real(nobody, "database system is ready to accept connections", "postgres", "-D", data, "-k", data, "-c",
		"listen_addresses=127.0.0.1")
}

// real starts an installed program, and waits until its log says that it is ready.
func (s *stage) real(user uint32, ready, program string, args ...string) error {
	log, err := os.Create(s.path("log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(find(program), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.end = append(s.end, func() { cmd.Process.Signal(syscall.SIGINT); cmd.Wait() })
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if text, err := os.ReadFile(s.path("log")); err != nil || bytes.Contains(text, []byte(ready)) {
			return err
		}
	}
	text, err := os.ReadFile(s.path("log"))
	return fmt.Errorf("%s is not ready: %s%w", program, text, err)
}

// quiet wants an empty log after the ready message of a real server. A server logs about a question before it answers.
func quiet(ready string) func(*stage) error {
	return func(s *stage) error {
		text, err := os.ReadFile(s.path("log"))
		_, since, _ := strings.Cut(string(text), ready)
		_, since, _ = strings.Cut(since, "\n")
		if since != "" {
			err = fmt.Errorf("it logged %s", since)
		}
		return err
	}
}

// beAsker runs Explain.
func beAsker(args []string) error {
	q, err := Parse(context.Background(), args[0])
	if err != nil {
		return err
	}
	a, err := Explain(context.Background(), q, args[1] == "true")
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(a)
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, out)
	}
	return nil
}

// serve returns a function that starts servers. The arguments are pairs of kind and address.
func serve(kindsAndAddresses ...string) func(*stage) error {
	return func(s *stage) error {
		for pair := range slices.Chunk(kindsAndAddresses, 2) {
			if err := s.serve(pair[0], pair[1]); err != nil {
				return err
			}
		}
		return nil
	}
}

func (s *stage) serve(kind, addr string) error { return s.serveAs("server", kind, addr) }

// serveAs starts a server under a program name, and waits until it is ready.
func (s *stage) serveAs(name, kind, addr string) error {
	exe := s.path(name)
	if name != "server" {
		if err := os.Link(s.path("server"), exe); err != nil {
			return err
		}
	}
	cmd := exec.Command(exe, append([]string{kind}, strings.Fields(addr)...)...)
	cmd.Env, cmd.Dir, cmd.Stderr = append(os.Environ(), roleKey+"=server"), "/", os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	s.end = append(s.end, func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("%s at %s: %w", kind, addr, err)
	}
	return nil
}

// beServer runs a server of a kind at an address until it is killed.
func beServer(args []string) error {
	kind, addr := args[0], args[1]
	config := net.ListenConfig{}
	options := map[string][3]int{
		"reuseport": {unix.SOL_SOCKET, unix.SO_REUSEPORT, 1},
		"v6only":    {unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
	}
	if option, ok := options[kind]; ok {
		config.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), option[0], option[1], option[2]) })
		}
	}
	ready := func() { fmt.Println("ready") }
	switch kind {
	case "udp":
		if _, err := net.ListenPacket("udp", addr); err != nil {
			return err
		}
		ready()
		select {}
	case "bound":
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrInet4{Port: 3000, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err != nil {
			return err
		}
		ready()
		select {}
	case "client":
		from, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{LocalAddr: from}).Dial("tcp", args[2])
		if err != nil {
			return err
		}
		ready()
		conn.Read(make([]byte, 1)) // until the connection ends
		return nil
	}
	network := "tcp"
	if kind == "v6only" {
		network = "tcp6"
	}
	l, err := config.Listen(context.Background(), network, addr)
	if err != nil {
		return err
	}
	if kind == "silent" {
		raw, err := l.(*net.TCPListener).SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { unix.Listen(int(fd), 1) })
		}
		if err != nil {
			return err
		}
		ready()
		select {}
	}
	ready()
	switch kind {
	case "http":
		return http.Serve(l, page())
	case "https":
		return http.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{certificate()}}), page())
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		switch kind {
		case "banner":
			fmt.Fprint(conn, "SSH-2.0-made up\x1b[2J\r\n")
		case "touchy": // like a net.Server of Node.js without an error listener
			if _, err := fmt.Fprint(conn, "220 hello\r\n"); err != nil {
				return err
			}
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				return err
			}
			conn.Close()
		case "answers": // it answers any input
			go func() {
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
				}
				conn.Close()
			}()
		case "echo":
			go io.Copy(conn, conn)
		case "flood":
			go flood(conn)
		}
	}
}

// flood answers with a page that never ends.
func flood(conn net.Conn) {
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return
	}
	io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n<title>")
	for {
		if _, err := conn.Write(bytes.Repeat([]byte("x"), 64<<10)); err != nil {
			return
		}
	}
}

func page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "a\tb")
		io.WriteString(w, "<html><TITLE lang=en>\n Tom &amp; Jerry\n</TITLE>")
	})
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"},
		DNSNames:    []string{"shop.test"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// fill connects until the backlog is full.
func (s *stage) fill(addr string) error {
	for range 16 {
		conn, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err != nil {
			return nil
		}
		s.end = append(s.end, func() { conn.Close() })
	}
	return errors.New("there is always room for one more connection")
}

// linger leaves one connection at addr in TIME_WAIT.
func (s *stage) linger(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	client, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	server, err := l.Accept()
	if err != nil {
		return err
	}
	// The side that closes first enters TIME_WAIT.
	if err := errors.Join(server.Close(), l.Close()); err != nil {
		return err
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("the server's end: %w", err)
	}
	return client.Close()
}

// engine is a container engine with one container on port 5432.
func (s *stage) engine() error {
	l, err := net.Listen("unix", s.path("docker.sock"))
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"Id":%q,"Names":["/shop-db-1"],"Image":"postgres:16","State":"running",
			"Labels":{"com.docker.compose.project":"shop","com.docker.compose.service":"db"},
			"Ports":[{"IP":"0.0.0.0","PrivatePort":5432,"PublicPort":5432,"Type":"tcp"}]}]`,
			strings.Repeat("0123456789abcdef", 4))
	}))
	return nil
}
