package facts

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A NamedPort is a port in a command line, with its role.
type NamedPort struct {
	Port uint16
	Role string // the port's purpose, such as "metrics"; empty for the server's own port
}

// maxNamed is the maximum number of ports kept from a command line.
const maxNamed = 6

// An optionRole gives a port the role of a word in its option's name.
type optionRole struct {
	role  string
	words string
}

// optionRoles are the words for further ports. The first match counts.
var optionRoles = []optionRole{
	{DebuggerRole, "debug debugger debugging inspect inspector jdwp agentlib vmservice observatory"},
	{"JMX", "jmx jmxremote"},
	{"metrics", "metrics metric prometheus stats statsd telemetry monitoring monitor"},
	{"profiler", "pprof prof profiler profiling"},
	{"health", "health healthz probe liveness readiness"},
	{"admin", "admin management console control"},
	{"UI", "ui dashboard"},
	{"HMR", "hmr livereload reload hot"},
	{"SMTP", "smtp"},
	{"POP3", "pop3"},
	{"shutdown", "shutdown stop"},
	{"gRPC", "grpc"},
	{"WebSocket", "ws wss websocket"},
	{"cluster", "cluster gossip raft peer serf"},
}

// portWords occur in options for a port or an address, secretWords in options for secrets.
const (
	portWords   = "port listen bind addr address url urls http https socket stats smtp pop3 pprof metrics p l b s h"
	secretWords = "password passwd pass token secret key credential credentials auth"
)

// PortsNamed returns the listening ports in a command line, in its order. It keeps only numbers. Some may be no ports,
// so callers must check whether the process listens there.
func PortsNamed(args []string) (named [maxNamed]NamedPort) {
	args = titleWords(args) // "puma 6.4 (tcp://localhost:3000) [shop]"
	n := 0
	add := func(value, role string) {
		port := portIn(value)
		known := slices.ContainsFunc(named[:n], func(p NamedPort) bool { return p.Port == port })
		if port != 0 && !known && n < maxNamed {
			named[n] = NamedPort{port, role}
			n++
		}
	}
	for i := 1; i < len(args); i++ {
		option, value, valued := strings.Cut(args[i], "=")
		dashed := strings.HasPrefix(option, "-")
		if !dashed && !valued {
			if !strings.HasPrefix(args[i-1], "-") { // else it may be the value of that option
				add(strings.Trim(option, "(),"), "")
			}
			continue
		}
		letter := strings.TrimRight(option, "0123456789")
		if dashed && !valued && len(letter) == 2 && letter != option {
			option, value, valued = letter, option[2:], true // -p3000
		}
		words := optionWords(option)
		if !anyAmong(portWords, words) || anyAmong(secretWords, words) {
			continue
		}
		if !valued && i+1 < len(args) {
			value = args[i+1]
		}
		add(value, roleOfOption(words))
	}
	return named
}

// roleOfOption returns a port's role by the words of its option. It is empty for the server's own port.
func roleOfOption(words []string) string {
	for _, r := range optionRoles {
		if anyAmong(r.words, words) {
			return r.role
		}
	}
	return ""
}

// optionWords returns the words in an option's name in lower case: "metrics", "bind" and "address" for
// --metrics-bind-address, "admin" and "port" for --adminPort, "server" and "port" for -Dserver.port.
func optionWords(option string) []string {
	if property, ok := strings.CutPrefix(option, "-D"); ok && property != "" {
		option = property
	}
	var spaced strings.Builder
	lower := false
	for _, r := range option {
		if lower && unicode.IsUpper(r) || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			spaced.WriteByte(' ')
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			spaced.WriteRune(unicode.ToLower(r))
		}
		lower = unicode.IsLower(r)
	}
	return strings.Fields(spaced.String())
}

// anyAmong reports whether one of the words is in a space-separated list.
func anyAmong(list string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return among(list, w) })
}

// portIn returns the port in a text: "8000", ":8000", "127.0.0.1:8000", "tcp://[::]:8000", or "8000:80" for a
// forwarding. It returns 0 if there is none, or if the address cannot be this computer's.
func portIn(text string) uint16 {
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text, _, _ = strings.Cut(rest, "/")
	}
	colon := strings.LastIndexByte(text, ':')
	if colon < 0 {
		return portNumber(text)
	}
	host, port := text[:colon], portNumber(text[colon+1:])
	if local := portNumber(host); local != 0 {
		return local
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && !among("localhost * +", host) && host != "" {
		return 0
	}
	return port
}

// portNumber parses a port. It returns 0 for anything else.
func portNumber(text string) uint16 {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(port)
}

// DebuggerRole is the role of a port for a debugger.
const DebuggerRole = "debugger"
