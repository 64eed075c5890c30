package server

import (
	"cmp"
	"strings"

	"porttray/watcher/facts"
)

// serving returns the protocol and the risk of l, as far as they are known.
func (l Listener) serving() serving {
	return servingAt(l.Owner, l.Facts, l.own())
}

// own returns the port that the server itself knows. For a container that is the inner port.
func (l Listener) own() uint16 { return cmp.Or(l.Inside, l.Port) }

// Role returns the purpose of a port that is not the head of the server: "admin", "debugger", "SMTP", "metrics", "HMR",
// "shutdown". It is empty for all others. It comes from a table, so it is fit to show.
func (l Listener) Role() string { return roleAt(l.Owner, l.Facts, l.own()) }

// Inspects reports whether l is a port for a debugger.
func (l Listener) Inspects() bool { return l.Role() == facts.DebuggerRole }

// named reports whether the command line names the port as the server's own.
func (l Listener) named() bool {
	n, ok := l.Facts.NamedAt(l.own())
	return ok && n.Role == ""
}

// Speaks names the protocol of l if it is known to be useless for a browser: "PostgreSQL", "SSH", "JavaScript
// inspector". It is empty for all others. The name comes from a table, so it is fit to show.
func (l Listener) Speaks() string { return l.serving().Speaks }

// Web reports whether a browser may be useful for l. It is false if l is known not to be a web server: nothing must be
// sent to it. It is true if nothing is known.
func (l Listener) Web() bool { return l.Speaks() == "" }

// Risk returns the kind of a server that other machines should not reach: "database", "cache", "message broker", "admin
// tool", "debugger" or "container engine". It is empty for other servers. Exposed reports whether they can reach l.
func (l Listener) Risk() string { return l.serving().Risk }

// Danger returns a sentence without its full stop that warns about l: it is open to the network, and it has a Risk or
// was not open before. It is empty for all others, even for an ordinary server that other machines can reach.
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

// Danger returns the warning for the server: the head's or, if there is none, the first further port's.
func (s Server) Danger() string {
	danger := s.Listener.Danger()
	for _, l := range s.Also {
		danger = cmp.Or(danger, l.Danger())
	}
	return danger
}
