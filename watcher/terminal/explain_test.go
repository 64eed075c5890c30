package terminal

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"porttray/watcher/explain"
)

func addrs(list ...string) []netip.Addr {
	var result []netip.Addr
	for _, a := range list {
		result = append(result, netip.MustParseAddr(a))
	}
	return result
}

// TestExplanation writes answers as text and JSON, and compares them with testdata/explain_NAME.txt and .json.
func TestExplanation(t *testing.T) {
	home := filepath.FromSlash("/home/ann")
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home) // Windows
	yes, no, one := true, false, 1
	localhost := addrs("::1", "127.0.0.1")
	dynamic := explain.Port{Number: 62893, Class: "dynamic", First: 49152, Last: 65535, EphemeralFirst: 32768,
		EphemeralLast: 60999, Privileged: &no}
	shop := explain.Holder{Name: "shop · Vite", Listener: explain.Listener{
		Port: 62893, Addresses: addrs("127.0.0.1"), Class: "dynamic", PID: 4711, Process: "node", User: "ann",
		Project:   "shop",
		Directory: filepath.Join(home, "code", "shop"), Tool: "Vite", Started: at(8, 5, 59), Section: "main",
		Restarts: 3,
	}, Parents: []explain.Process{{PID: 4700, Process: "npm run dev"}, {PID: 4600, Process: "bash"},
		{PID: 4000, Process: "gnome-terminal-"}}, Also: []uint16{24678}}
	accepted := []explain.Connect{{Address: localhost[1], Result: explain.Accepted, Listens: true},
		{Address: localhost[0], Result: explain.Refused}}
	answers := map[string]explain.Answer{
		"server": {
			Asked: "127.0.0.1:62893", Listens: true, Address: explain.Address{Addresses: addrs("127.0.0.1"),
				Kind: explain.Loopback, Localhost: localhost},
			Port: dynamic, Listeners: []explain.Holder{shop}, Connections: 2, Connects: accepted,
			Binds: []explain.Bind{
				{Address: localhost[1], Result: "in use",
					By: []explain.Process{{PID: 4711, Process: "node", User: "ann"}}},
				{Address: localhost[0], Result: "free"},
			},
			Trouble: explain.None,
			Advice: []explain.Advice{{Says: "Nothing is wrong: it listens and accepts connections."},
				{Says: "To end it:", Command: "porttray stop 62893"}},
		},
		"free": {
			Asked: "port 80", Address: explain.Address{Addresses: localhost, Kind: explain.Loopback,
				Localhost: localhost[:1]},
			Port:      explain.Port{Number: 80, Class: "well-known", Last: 1023, Service: "http", Privileged: &yes},
			Listeners: []explain.Holder{},
			UDP: []explain.Datagram{{Address: addrs("0.0.0.0")[0], Process: explain.Process{PID: 9,
				Process: "dnsmasq"}}, {Address: addrs("::")[0], Process: explain.Process{User: "root"}},
				{Address: addrs("::1")[0]}},
			Lingering: &one, Bound: []explain.Process{{PID: 7, Process: "curl"}},
			Outgoing: []explain.Process{{PID: 8, Process: "curl"}},
			Last: &explain.Past{Name: "blog · Django", Directory: filepath.Join(home, "blog"), Closed: at(9, 0, 0),
				Reason: "exited with status 1"},
			Connects: []explain.Connect{{Address: localhost[1], Result: explain.Refused},
				{Address: localhost[0], Result: explain.Unreachable}},
			Binds: []explain.Bind{{Address: localhost[1], Result: "not permitted"},
				{Address: localhost[0], Result: "unknown", Error: "too many open files"},
				{Address: addrs("0.0.0.0")[0], Result: "lingering", Reusable: true}},
			Trouble: explain.NotRunning, Advice: []explain.Advice{{Says: "Start it."}},
			Untold: []string{"connections: permission denied"},
		},
		"exposed": {
			Asked: "0.0.0.0:5432", Listens: true, Address: explain.Address{Addresses: addrs("0.0.0.0"),
				Kind: explain.Wildcard, Localhost: localhost},
			Port: explain.Port{Number: 5432, Class: "registered", First: 1024, Last: 49151, Service: "postgresql",
				Ephemeral: true, EphemeralFirst: 1024, EphemeralLast: 65535, Reserved: true},
			Listeners: []explain.Holder{{Name: "PostgreSQL · db (container)", Listener: explain.Listener{Port: 5432,
				Addresses: addrs("0.0.0.0", "::"), Exposed: true,
				Class: "registered", Service: "postgresql", PID: 900, Process: "docker-proxy", User: "root",
				Project: "shop", Tool: "PostgreSQL", Container: "shop-db-1", Section: "main"},
				NotEndable: "", Queue: &explain.Queue{Waiting: 130, Limit: 128, Full: true}}},
			Reachable: []explain.Interface{{Name: "eth0", Address: addrs("192.0.2.7")[0]},
				{Name: "eth0", Address: addrs("2001:db8::7")[0]}},
			Risk: "database", Connections: 1,
			Connects: []explain.Connect{{Address: localhost[1], Result: explain.NoAnswer, Listens: true},
				{Address: localhost[0], Result: explain.Forbidden, Listens: true}},
			Binds: []explain.Bind{{Address: localhost[1], Result: "in use",
				By: []explain.Process{{PID: 900, Process: "docker-proxy"}, {User: "cups"}}}},
			Trouble: explain.Filtered, Advice: []explain.Advice{{Says: "A firewall or a filter is in the way."},
				{Says: "To see the rules:", Command: "sudo nft list ruleset"}},
		},
		"hidden": {
			Asked: "192.0.2.7:631", Listens: true, Address: explain.Address{Addresses: addrs("192.0.2.7"),
				Kind: explain.Own, Interface: "eth0", Localhost: localhost},
			Port: explain.Port{Number: 631, Class: "well-known", Last: 1023},
			Listeners: []explain.Holder{{Name: "another user's process", Listener: explain.Listener{Port: 631,
				Addresses: addrs("192.0.2.7"), Exposed: true, Class: "well-known", User: "cups", Section: "other"}},
				{Name: "unknown owner", Listener: explain.Listener{Port: 631, Addresses: addrs("::1"),
					Class: "well-known", Section: "other"}}},
			Connects: []explain.Connect{{Address: localhost[1], Result: explain.Refused},
				{Address: localhost[0], Result: explain.Unreachable, Error: "no buffer space available"}},
			Trouble: explain.None,
		},
		"probe": {
			Asked: "localhost:62893", Listens: true, Address: explain.Address{Name: "localhost", Addresses: localhost,
				Kind: explain.Loopback, Localhost: localhost},
			Port: dynamic, Listeners: []explain.Holder{shop}, Connects: accepted,
			Probe: &explain.Probe{Address: netip.MustParseAddrPort("127.0.0.1:62893"),
				TLS: &explain.Certificate{Names: []string{"localhost", "127.0.0.1"}, Issuer: "CN=mkcert ann",
					Expires: time.Date(2027, 1, 2, 12, 0, 0, 0, time.UTC)},
				HTTP: &explain.Page{Status: "302 Found", Server: "nginx", Location: "https://localhost:62893/login",
					Title: "Sign in"}},
			Trouble: explain.None,
		},
		"database": {
			Asked: "port 3306", Listens: true, Address: explain.Address{Addresses: localhost, Kind: explain.Loopback,
				Localhost: localhost},
			Port: explain.Port{Number: 3306, Class: "registered", First: 1024, Last: 49151},
			Listeners: []explain.Holder{{Name: "MySQL", Listener: explain.Listener{Port: 3306,
				Addresses: addrs("127.0.0.1"), Class: "registered",
				PID: 12, Process: "mysqld", User: "ann", Tool: "MySQL", Speaks: "MySQL", Section: "main"}}},
			Connects: accepted,
			Probe: &explain.Probe{Address: netip.MustParseAddrPort("127.0.0.1:3306"), Unasked: "MySQL",
				Banner: "J 8.0.36"},
			Trouble: explain.None,
		},
		"by_port": {
			Asked: "port 5432", Listens: true, Address: explain.Address{Addresses: localhost, Kind: explain.Loopback,
				Localhost: localhost},
			Port: explain.Port{Number: 5432, Class: "registered", First: 1024, Last: 49151},
			Listeners: []explain.Holder{{Name: "another user's process", Listener: explain.Listener{Port: 5432,
				Addresses: addrs("127.0.0.1"), Class: "registered",
				User: "postgres", Speaks: "PostgreSQL", Section: "other"}}},
			Connects: accepted, Probe: &explain.Probe{Address: netip.MustParseAddrPort("127.0.0.1:5432"),
				Unasked: "PostgreSQL"}, Trouble: explain.None,
		},
		"elsewhere": {
			Asked: "198.51.100.1:443", Address: explain.Address{Addresses: addrs("198.51.100.1"),
				Kind: explain.Elsewhere, Localhost: localhost},
			Port:      explain.Port{Number: 443, Class: "well-known", Last: 1023, Service: "https"},
			Listeners: []explain.Holder{}, Trouble: explain.None,
		},
		"hostile": {
			Asked: "port 62893", Listens: true, Address: explain.Address{Addresses: localhost, Kind: explain.Own,
				Interface: "eth\x1b[2J", Localhost: localhost}, Port: dynamic,
			Listeners: []explain.Holder{{Name: "x", Listener: explain.Listener{Port: 62893, Addresses: addrs("::"),
				Exposed: true, Class: "dynamic", PID: 6, Process: "\x1b]0;x\a\nTo do", User: "a\u202eb",
				Directory: "/tmp/\x1b[31m\n", Manager: "m\x00\x9b1m.service", Section: "main"},
				Parents: []explain.Process{{PID: 1, Process: "\u200b\u202e"}}}},
			Last:     &explain.Past{Name: "\x1b[1m", Directory: "\x1b[1m", Reason: "\x1b[1m"},
			Probe:    &explain.Probe{Address: netip.MustParseAddrPort("[::1]:62893"), Banner: "\x1b[2J"},
			Connects: []explain.Connect{{Address: localhost[1], Result: explain.Unreachable, Error: "\x1b[1m"}},
			Binds: []explain.Bind{{Address: localhost[1], Result: "in use",
				By: []explain.Process{{PID: 6, Process: "\x1b[1m"}}, Error: "\x1b[1m"}},
			Advice: []explain.Advice{{Says: "\x1b[1m", Command: "\x1b[1m\n"}}, Untold: []string{"\x1b[1m"},
			Trouble: explain.None,
		},
	}
	for name, a := range answers {
		t.Run(name, func(t *testing.T) {
			text := explanation(a, style{width: 80}, at(9, 30, 0))
			golden(t, "explain_"+name+".txt", text)
			for line := range strings.Lines(string(text)) {
				if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); n > 80 {
					t.Errorf("%d columns wide: %s", n, line)
				}
			}
			if !bytes.Equal(text, explanation(a, style{}, at(9, 30, 0))) {
				t.Error("it reads otherwise when it is piped")
			}
			var b bytes.Buffer
			if err := writeJSON(&b, a); err != nil {
				t.Fatal(err)
			}
			golden(t, "explain_"+name+".json", b.Bytes())
			matches(t, "explain.schema.json", b.Bytes())
			for _, r := range string(text) + b.String() {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Fatalf("there is %U in %q", r, text)
				}
			}
		})
	}
	golden(t, "explain_colour.txt", explanation(answers["exposed"], style{width: 50, colour: true}, at(9, 30, 0)))
}
