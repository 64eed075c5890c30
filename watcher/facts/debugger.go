package facts

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"porttray/watcher/owner"
)

// FindDebugger returns the debugger's port in these arguments. A port that the system chooses is unknown.
func FindDebugger(args []string) DebuggerPort {
	args = titleWords(args)
	for i, arg := range args {
		if settings, ok := strings.CutPrefix(arg, "-Xrunjdwp:"); ok { // in old versions of Java
			arg = "-agentlib:jdwp=" + settings
		}
		option, value, valued := strings.Cut(arg, "=")
		for _, d := range debugOptions {
			isProgram := func(a string) bool { return owner.LastElement(a) == d.program }
			if !among(d.options, option) || d.program != "" && !slices.ContainsFunc(args[:i], isProgram) {
				continue
			}
			if d.program != "" && !valued && i+1 < len(args) {
				value = args[i+1]
			}
			value, _, _ = strings.Cut(value, "/") // an address or a path may follow
			if d.name == "JDWP" {
				value = jdwpAddress(value)
			}
			if at := debuggerPort(d.name, cmp.Or(value, d.usual)); at.Port != 0 {
				return at
			}
		}
	}
	return DebuggerPort{}
}

// titleWords returns the arguments of a command line. It splits a single argument, because that may be a title.
func titleWords(args []string) []string {
	if len(args) == 1 {
		return strings.Fields(args[0])
	}
	return args
}

// jdwpAddress returns the address in settings of the Java Debug Wire Protocol: "server=y,suspend=n,address=*:5005".
func jdwpAddress(settings string) string {
	for setting := range strings.SplitSeq(settings, ",") {
		if address, ok := strings.CutPrefix(setting, "address="); ok {
			return address
		}
	}
	return ""
}

// debuggerPort reads the port at the end of an address: "9229", "*:5005", "[::1]:9229". There may be none.
func debuggerPort(name, address string) DebuggerPort {
	port, err := strconv.ParseUint(address[strings.LastIndexByte(address, ':')+1:], 10, 16)
	if err != nil || port == 0 {
		return DebuggerPort{}
	}
	return DebuggerPort{name, uint16(port)}
}

// A debugOption is a command-line option with the port for a debugger.
type debugOption struct {
	name    string // of the server kind
	program string // its program; then the port may be the next argument; empty for runtimes
	options string // separated by spaces
	usual   string // port without a value
}

var debugOptions = []debugOption{
	{"JavaScript inspector", "", "--inspect --inspect-brk --inspect-wait --inspect-port --debug --debug-brk", ""},
	{"JDWP", "", "-agentlib:jdwp", ""},
	{"debugpy", "debugpy", "--listen", ""},
	{"rdbg", "rdbg", "--port", ""},
	{"rdbg", "rdebug-ide", "--port -p", ""},
	{"Dart VM service", "", "--enable-vm-service --observe", "8181"},
	{"Chrome DevTools", "", "--remote-debugging-port", ""},
}

// DebuggerNames returns the names of the debuggers that FindDebugger knows.
func DebuggerNames() map[string]bool {
	names := map[string]bool{}
	for _, d := range debugOptions {
		names[d.name] = true
	}
	return names
}
