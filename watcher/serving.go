package watcher

import (
	"cmp"
	"strings"

	"porttray/watcher/owner"
)

// serving returns the protocol and the risk of l, as far as they are known.
func (l Listener) serving() owner.Serving {
	return owner.ServingAt(l.Owner, l.Facts, l.own())
}

// own returns the port that the server itself knows: for a container the one inside.
func (l Listener) own() uint16 { return cmp.Or(l.Inside, l.Port) }

// Role tells what the port is for, where it is not the one that people mean when they name the server: "admin", "debugger",
// "SMTP", "metrics", "HMR", "shutdown". It is empty for all others. It comes from a table, so it is fit to show.
func (l Listener) Role() string { return owner.RoleAt(l.Owner, l.Facts, l.own()) }

// Inspects reports whether something waits at l for a debugger.
func (l Listener) Inspects() bool { return l.Role() == owner.DebuggerRole }

// named reports whether the command line names the port as the server's own.
func (l Listener) named() bool {
	n, ok := l.Facts.NamedAt(l.own())
	return ok && n.Role == ""
}

// Speaks names what l speaks where that is known to be nothing for a browser: "PostgreSQL", "SSH", "JavaScript inspector". It is
// empty for all others. The name comes from a table, so it is fit to show.
func (l Listener) Speaks() string { return l.serving().Speaks }

// Web reports whether a browser may be of use for l. It is false for what is known to be no web server: nothing must be sent to
// that. It is true where nothing is known.
func (l Listener) Web() bool { return l.Speaks() == "" }

// Risk returns what l is that other machines had better not reach: "database", "cache", "message broker", "admin tool",
// "debugger" or "container engine". It is empty for other servers. Whether other machines can reach l is what Exposed says.
func (l Listener) Risk() string { return l.serving().Risk }

// Danger says in a sentence without its full stop why l deserves a warning: it is open to the network, and it has a Risk or was
// not open before. It is empty for all others, also for an ordinary server that other machines can reach.
func (l Listener) Danger() string {
	risk := l.Risk()
	switch {
	case !l.Exposed():
		return ""
	case risk != "" && strings.ContainsRune("aeiou", rune(risk[0])):
		return "An " + risk + " is open to the network"
	case risk != "":
		return "A " + risk + " is open to the network"
	case l.Widened:
		return "It was opened to the network while it was watched"
	}
	return ""
}

// Danger returns the warning that the server deserves: that of its head port or, if there is none, of the first further port.
func (s Server) Danger() string {
	danger := s.Listener.Danger()
	for _, l := range s.Also {
		danger = cmp.Or(danger, l.Danger())
	}
	return danger
}
