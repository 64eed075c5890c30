// Package explain gathers all that can be said about one address and port of this computer: the answer to "what is on
// 127.0.0.1:62893, is it safe, and why can't I reach it or bind it?", as data.
package explain

import (
	"net/netip"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/port"
)

// An Answer is all that can be said about an address and port. Its names in JSON stay as they are; what is not known is absent.
type Answer struct {
	Asked   string  `json:"asked"`   // the address and port that were asked about
	Listens bool    `json:"listens"` // something listens there
	Address Address `json:"address"`
	Port    Port    `json:"port"`
	// Listeners are what listens on the port, at whatever address, in the order of their PIDs.
	Listeners []Holder `json:"listeners"`
	// UDP are the sockets that are bound to the UDP port of the same number, which is another port than the TCP one.
	UDP []Datagram `json:"udp,omitempty"`
	// Bound are the processes that have bound the port and do not listen on it, as far as the system tells; Outgoing those with
	// connections from it, or left over on it, where nothing listens.
	Bound       []Process `json:"bound,omitempty"`
	Outgoing    []Process `json:"outgoing,omitempty"`
	Connections int       `json:"connections"`         // that are open at the port
	Lingering   *int      `json:"lingering,omitempty"` // connections that have ended and keep their port for about a minute (TIME_WAIT)
	Last        *Past     `json:"last,omitempty"`
	// Reachable are the addresses by which other machines may reach the port; a firewall may stand in between.
	Reachable []Interface `json:"reachable,omitempty"`
	Risk      string      `json:"risk,omitempty"` // what the network can reach, and better could not
	Connects  []Connect   `json:"connects,omitempty"`
	Binds     []Bind      `json:"binds,omitempty"`
	Probe     *Probe      `json:"probe,omitempty"` // what it speaks, only if asked
	Trouble   Trouble     `json:"trouble"`
	Advice    []Advice    `json:"advice,omitempty"`
	Untold    []string    `json:"untold,omitempty"` // what could not be found out, and why

	servers  []watcher.Listener // on the port
	anywhere bool               // the port alone was asked about
}

// An Address is what was asked about, as an address.
type Address struct {
	Name      string       `json:"name,omitempty"`
	Addresses []netip.Addr `json:"addresses"`
	Kind      Kind         `json:"kind"`
	Interface string       `json:"interface,omitempty"` // that has the address
	Localhost []netip.Addr `json:"localhost"`           // what the name localhost means here, in the order in which programs try it
}

// A Kind tells addresses apart by where they lead.
type Kind string

// The kinds.
const (
	Loopback  Kind = "loopback"  // 127.0.0.0/8, ::1: never leaves this computer (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3)
	Wildcard  Kind = "wildcard"  // 0.0.0.0, ::: all addresses of this computer; only for listening
	Own       Kind = "own"       // one of this computer's interfaces has it
	Elsewhere Kind = "elsewhere" // none has it now
)

// A Port is what the number means, and to this system.
type Port struct {
	Number         uint16 `json:"number"`
	Class          string `json:"class"`
	First          uint16 `json:"class_first"` // of the class
	Last           uint16 `json:"class_last"`
	Service        string `json:"service,omitempty"`
	Ephemeral      bool   `json:"ephemeral"`                 // this system hands it out itself
	EphemeralFirst uint16 `json:"ephemeral_first,omitempty"` // the range that it hands out; absent if it does not tell
	EphemeralLast  uint16 `json:"ephemeral_last,omitempty"`
	Privileged     *bool  `json:"privileged,omitempty"` // an ordinary user may not bind it; absent if that is not known
	Reserved       bool   `json:"reserved"`             // the system excludes it from use
}

// A Holder is a listener with what only matters when somebody asks about it.
type Holder struct {
	Listener
	Name       string    `json:"name"`                  // as the menu names it
	Parents    []Process `json:"parents,omitempty"`     // its parent first, up to the terminal, desktop, service manager or container
	Also       []uint16  `json:"also,omitempty"`        // further ports of the same process or container
	NotEndable string    `json:"not_endable,omitempty"` // why porttray would not end it
	Queue      *Queue    `json:"queue,omitempty"`       // absent where the system does not tell
}

// A Process is one by its name.
type Process struct {
	PID     int32  `json:"pid,omitempty"`
	Process string `json:"process,omitempty"`
	User    string `json:"user,omitempty"`
}

// A Queue tells how many connections wait until a server accepts them.
type Queue struct {
	Waiting int  `json:"waiting"`
	Limit   int  `json:"limit"`
	Full    bool `json:"full"` // further ones get no answer
}

// A Datagram is a UDP socket.
type Datagram struct {
	Address netip.Addr `json:"address"`
	Process
}

// A Past is the server that closed last on the port, as porttray saw it.
type Past struct {
	Name      string    `json:"name"`
	Project   string    `json:"project,omitempty"`
	Tool      string    `json:"tool,omitempty"`
	Directory string    `json:"directory,omitempty"`
	Closed    time.Time `json:"closed"`
	Reason    string    `json:"reason,omitempty"`
}

// A Connect is an attempt to connect.
type Connect struct {
	Address netip.Addr    `json:"address"`
	Result  ConnectResult `json:"result"`
	Listens bool          `json:"listens"` // something listens at that address
	Error   string        `json:"error,omitempty"`
}

// A ConnectResult says what came of an attempt to connect.
type ConnectResult string

// The results.
const (
	Accepted    ConnectResult = "accepted"
	Refused     ConnectResult = "refused"
	NoAnswer    ConnectResult = "no answer"
	Forbidden   ConnectResult = "not permitted" // a filter on this computer does not let it out
	Unreachable ConnectResult = "unreachable"   // this computer has no such address, or not that family
)

// A Bind is an attempt to bind.
type Bind struct {
	Address netip.Addr `json:"address"`
	Result  string     `json:"result"` // free, lingering, in use, not permitted, reserved, unavailable, unknown
	// Reusable says that a program can have it all the same that sets SO_REUSEADDR, as most servers do.
	Reusable bool      `json:"reusable,omitempty"`
	By       []Process `json:"by,omitempty"` // what holds it
	Error    string    `json:"error,omitempty"`

	state port.State
}

// A Trouble is what is wrong.
type Trouble string

// The troubles: the three classic ones, and a server that hangs.
const (
	None       Trouble = "none"
	InUse      Trouble = "port in use"
	Filtered   Trouble = "filtered"    // a listener is there, and connections to it are dropped or rejected on their way
	NotRunning Trouble = "not running" // nothing listens at the address
	Hangs      Trouble = "hangs"       // a listener is there, and accepts nothing
)

// An Advice is something to do.
type Advice struct {
	Says    string `json:"says"`
	Command string `json:"command,omitempty"`
}

// processOf returns what is told of a process.
func processOf(p owner.Process) Process {
	return Process{PID: p.PID, Process: p.Name, User: owner.UserName(p.User)}
}
