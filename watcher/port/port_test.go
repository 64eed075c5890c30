package port

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestClass(t *testing.T) {
	tests := []struct {
		port uint16
		want Class
		name string
	}{
		{0, WellKnown, "well-known"}, {22, WellKnown, "well-known"}, {1023, WellKnown, "well-known"},
		{1024, Registered, "registered"}, {5173, Registered, "registered"}, {49151, Registered, "registered"},
		{49152, Dynamic, "dynamic"}, {62893, Dynamic, "dynamic"}, {65535, Dynamic, "dynamic"},
	}
	for _, tt := range tests {
		if got := ClassOf(tt.port); got != tt.want || got.String() != tt.name {
			t.Errorf("%d: got %d, %q, want %d, %q", tt.port, got, got, tt.want, tt.name)
		}
	}
	if got := Class(7).String(); got != "Class(7)" {
		t.Errorf("no class: got %q", got)
	}
}

// TestEphemeral compares the range with ports that this system really hands out.
func TestEphemeral(t *testing.T) {
	first, last, ok := Ephemeral()
	if !ok {
		if runtime.GOOS == "linux" || runtime.GOOS == "darwin" {
			t.Fatal("this system did not tell its range")
		}
		t.Skip("this system does not tell its range")
	}
	for _, network := range []string{"tcp4", "tcp6"} {
		for range 200 {
			l, err := net.Listen(network, "localhost:0")
			if err != nil {
				t.Logf("%s: %v", network, err) // not every machine has IPv6
				break
			}
			defer l.Close()
			port := uint16(l.Addr().(*net.TCPAddr).Port)
			if port < first || port > last || !Read().HandedOut(port) {
				t.Errorf("%s: was given %d, which is not in %d–%d or not counted as handed out",
					network, port, first, last)
			}
		}
	}
}

func TestHandedOut(t *testing.T) {
	linux, bsd := System{First: 32768, Last: 60999}, System{First: 1024, Last: 5000}
	windows := System{First: 49152, Last: 65535,
		Reserved: Ranges{{50000, 50099}}, Withheld: Ranges{{5037, 5037}, {50100, 50100}}}
	for _, tt := range []struct {
		system    System
		port      uint16
		handedOut bool
		ephemeral bool
	}{
		{linux, 22, false, false}, {linux, 32767, false, false}, {linux, 32768, true, true}, {linux, 60999, true, true},
		{linux, 62893, true, false}, {linux, 65535, true, false},
		{bsd, 1023, false, false}, {bsd, 1024, true, true}, {bsd, 5000, true, true},
		{bsd, 5001, false, false}, {bsd, 49152, true, false},
		{windows, 5037, false, false}, {windows, 49999, true, true},
		{windows, 50000, true, false}, {windows, 50099, true, false},
		{windows, 50100, false, false}, {windows, 50101, true, true},
		{System{}, 0, false, false}, {System{}, 49151, false, false}, {System{}, 49152, true, false},
	} {
		if got := tt.system.HandedOut(tt.port); got != tt.handedOut {
			t.Errorf("%+v: HandedOut(%d) = %t, want %t", tt.system, tt.port, got, tt.handedOut)
		}
		if got := tt.system.Ephemeral(tt.port); got != tt.ephemeral {
			t.Errorf("%+v: Ephemeral(%d) = %t, want %t", tt.system, tt.port, got, tt.ephemeral)
		}
	}
}

func TestParseRange(t *testing.T) {
	tests := []struct {
		text        string
		first, last uint16
		ok          bool
	}{
		{"32768\t60999\n", 32768, 60999, true},
		{"1024 65535", 1024, 65535, true},
		{"5000\t5000\n", 5000, 5000, true},
		{"60999\t32768\n", 0, 0, false},
		{"0\t60999\n", 0, 0, false},
		{"32768\t65536\n", 0, 0, false},
		{"-1\t60999\n", 0, 0, false},
		{"32768\n", 0, 0, false},
		{"32768 60999 1\n", 0, 0, false},
		{"99999999999999999999 1\n", 0, 0, false},
		{"", 0, 0, false},
	}
	for _, tt := range tests {
		if first, last, ok := parseRange([]byte(tt.text)); first != tt.first || last != tt.last || ok != tt.ok {
			t.Errorf("%q: got %d–%d, %t, want %d–%d, %t", tt.text, first, last, ok, tt.first, tt.last, tt.ok)
		}
	}
}

const netsh = "\r\nProtocol tcp Dynamic Port Range\r\n---------------------------------\r\n" +
	"Start Port      : 49152\r\nNumber of Ports : 16384\r\n\r\n"

func TestParseNetsh(t *testing.T) {
	tests := []struct {
		name, text  string
		first, last uint16
		ok          bool
	}{
		{"English", netsh, 49152, 65535, true},
		{"changed", strings.NewReplacer("49152", "1025", "16384", "64511").Replace(netsh), 1025, 65535, true},
		{"German, as a console has it", "\r\nDynamischer Portbereich f\x81r das Protokoll TCP\r\n---------\r\n" +
			"Startport         : 49152\r\nAnzahl von Ports  : 16384\r\n",
			49152, 65535, true},
		{"Japanese in Shift JIS",
			"\r\n\x83v\x83\x8d\x83g\x83R\x83\x8b tcp \x82\xcc\x93\xae\x93I\x83|\x81[\x83g\r\n---\r\n" +
				"\x8aJ\x8en\x83|\x81[\x83g         : 49152\r\n\x83|\x81[\x83g\x90\x94       : 16384\r\n",
			49152, 65535, true},
		{"one port", "a : 5000\nb : 1\n", 5000, 5000, true},
		{"none", "a : 5000\nb : 0\n", 0, 0, false},
		{"beyond the last port", "a : 49152\nb : 16385\n", 0, 0, false},
		{"from nothing", "a : 0\nb : 16385\n", 0, 0, false},
		{"a third number", netsh + "More : 5\r\n", 0, 0, false},
		{"cut off", netsh[:100], 0, 0, false},
		{"numbers alone", "49152\n16384\n", 0, 0, false},
		{"huge", "a : 4294967295\nb : 4294967295\n", 0, 0, false},
		{"too huge", "a : 99999999999999999999\nb : 1\n", 0, 0, false},
		{"refused", "The requested operation requires elevation (Run as administrator).\r\n", 0, 0, false},
		{"empty", "", 0, 0, false},
	}
	for _, tt := range tests {
		if first, last, ok := parseNetsh([]byte(tt.text)); first != tt.first || last != tt.last || ok != tt.ok {
			t.Errorf("%s: %q: got %d–%d, %t, want %d–%d, %t", tt.name, tt.text, first, last, ok,
				tt.first, tt.last, tt.ok)
		}
	}
}

func FuzzRanges(f *testing.F) {
	f.Add([]byte("32768\t60999\n"))
	f.Add([]byte(netsh))
	f.Add([]byte("a 65535\nb 1"))
	f.Add([]byte("a\xff 18446744073709551615\n\x00 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, parse := range map[string]func([]byte) (uint16, uint16, bool){
			"range": parseRange, "netsh": parseNetsh,
		} {
			if first, last, ok := parse(text); ok != (first > 0) || first > last {
				t.Errorf("%s: %q: got %d–%d, %t", name, text, first, last, ok)
			}
		}
	})
}

func TestServices(t *testing.T) {
	want := map[uint16]string{
		1: "tcpmux", 22: "ssh", 53: "domain", 80: "http", 5432: "postgresql", 6000: "x11", 7: "", 9876: "", 0: "",
	}
	names := readServices(filepath.Join("testdata", "services.txt"))
	for port, want := range want {
		if got := names[port]; got != want {
			t.Errorf("%d: got %q, want %q", port, got, want)
		}
	}
}

func TestParseServices(t *testing.T) {
	tests := []struct {
		line, want string // want is the name of port 8080
	}{
		{"http-alt 8080/tcp", "http-alt"},
		{"http-alt\t8080/TCP\twebcache #http-old\r\n", "http-alt"},
		{"  http-alt 8080/tcp#x", "http-alt"},
		{"a\x1b[31m 8080/tcp", "a\x1b[31m"},
		{"# http-alt 8080/tcp", ""},
		{"http-alt 8080/udp", ""},
		{"http-alt 8080", ""},
		{"http-alt /tcp", ""},
		{"http-alt 8080/tcp/x", ""},
		{"http-alt 08080/tcp", "http-alt"},
		{"http-alt 73616/tcp", ""}, // 8080 + 65536
		{"http-alt -8080/tcp", ""},
		{"8080/tcp", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := parseServices([]byte(tt.line))[8080]; got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

func FuzzParseServices(f *testing.F) {
	text, err := os.ReadFile(filepath.Join("testdata", "services.txt"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("a\xff 65535/tcp\x00\n\r# 1/tcp\n /tcp /tcp"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for port, name := range parseServices(text) {
			if name == "" || strings.ContainsAny(name, " \n#") || !strings.Contains(string(text), name) {
				t.Errorf("%q: port %d is called %q", text, port, name)
			}
		}
	})
}

func TestReadServices(t *testing.T) {
	for _, file := range []string{filepath.Join(t.TempDir(), "gone"), t.TempDir(), os.DevNull} {
		if got := readServices(file)[22]; got != "" {
			t.Errorf("%s: got %q", file, got)
		}
	}
	for goos, want := range map[string]string{
		"linux": "/etc/services", "darwin": "/etc/services",
		"windows": filepath.Join("root", "System32", "drivers", "etc", "services"),
	} {
		if got := servicesFile(goos, "root"); got != want {
			t.Errorf("%s: got %q, want %q", goos, got, want)
		}
	}
}

// TestService compares names that every list of services has with the answers of this system's resolver.
func TestService(t *testing.T) {
	if _, err := os.Stat(servicesFile(runtime.GOOS, os.Getenv("SystemRoot"))); err != nil {
		if got := Read().Service(22); got != "" {
			t.Errorf("without a list: got %q", got)
		}
		t.Skip(err)
	}
	for _, port := range []uint16{22, 25, 80} {
		name := Read().Service(port)
		if got, err := net.LookupPort("tcp", name); name == "" || err != nil || got != int(port) {
			t.Errorf("%d is called %q, which the resolver takes for %d, %v", port, name, got, err)
		}
	}
	if got := Read().Service(0); got != "" {
		t.Errorf("0 is called %q", got)
	}
}

func BenchmarkEphemeral(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Ephemeral()
	}
}

func BenchmarkReadServices(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		readServices(servicesFile(runtime.GOOS, os.Getenv("SystemRoot")))
	}
}
