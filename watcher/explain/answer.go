// Package explain gathers all facts about one address and port of this computer. It answers, as data, the question
// "what is on 127.0.0.1:62893, is it safe, and why can't I reach it or bind it?"
package explain

import (
	"net/netip"
	"time"

	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
)

// An Answer holds all facts about an address and port. Its JSON names are stable. Unknown facts are absent.
type Answer struct {
	Asked   string  `json:"asked"`   // the address and port in question
	Listens bool    `json:"listens"` // something listens there
	Address Address `json:"address"`
	Port    Port    `json:"port"`
	// Listeners are the listeners on the port at any address, in the order of their PIDs.
	Listeners []Holder `json:"listeners"`
	// UDP are the sockets bound to the UDP port of the same number. It is separate from the TCP port.
	UDP []Datagram `json:"udp,omitempty"`
	// Bound are the processes that have bound the port without listening, as far as the system reports them. Outgoing
	// are the processes with other connections on the port while nothing listens.
	Bound       []Process `json:"bound,omitempty"`
	Outgoing    []Process `json:"outgoing,omitempty"`
	Connections int       `json:"connections"`         // open at the port
	Lingering   *int      `json:"lingering,omitempty"` // ended, but they keep the port for about a minute (TIME_WAIT)
	Last        *Past     `json:"last,omitempty"`
	// Reachable are the addresses for other machines, unless a firewall blocks them.
	Reachable []Interface `json:"reachable,omitempty"`
	Risk      string      `json:"risk,omitempty"` // the kind of server that the network should not reach, but can
	Connects  []Connect   `json:"connects,omitempty"`
	Binds     []Bind      `json:"binds,omitempty"`
	Probe     *Probe      `json:"probe,omitempty"` // only if asked for
	Trouble   Trouble     `json:"trouble"`
	Advice    []Advice    `json:"advice,omitempty"`
	Untold    []string    `json:"untold,omitempty"` // facts that could not be read, and the reasons

	servers  []server.Listener // on the port
	anywhere bool              // the question is a port without an address
}

// An Address describes the address in question.
type Address struct {
	Name      string       `json:"name,omitempty"`
	Addresses []netip.Addr `json:"addresses"`
	Kind      Kind         `json:"kind"`
	Interface string       `json:"interface,omitempty"` // the owner of the address
	Localhost []netip.Addr `json:"localhost"`           // of the name localhost, in the order that programs try
}

// A Kind says where an address leads.
type Kind string

// The kinds.
const (
	Loopback  Kind = "loopback"  // 127.0.0.0/8, ::1: never leaves this computer (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3)
	Wildcard  Kind = "wildcard"  // 0.0.0.0, ::: all addresses of this computer; only for listening
	Own       Kind = "own"       // one of this computer's interfaces has it
	Elsewhere Kind = "elsewhere" // none has it now
)

// A Port describes a port number in general and on this system.
type Port struct {
	Number         uint16 `json:"number"`
	Class          string `json:"class"`
	First          uint16 `json:"class_first"` // of the class
	Last           uint16 `json:"class_last"`
	Service        string `json:"service,omitempty"`
	Ephemeral      bool   `json:"ephemeral"`                 // this system assigns it itself
	EphemeralFirst uint16 `json:"ephemeral_first,omitempty"` // the range of such ports; absent if unknown
	EphemeralLast  uint16 `json:"ephemeral_last,omitempty"`
	Privileged     *bool  `json:"privileged,omitempty"` // an ordinary user may not bind it; absent if unknown
	Reserved       bool   `json:"reserved"`             // the system excludes it from use
}

// A Holder is a listener with more details.
type Holder struct {
	Listener
	Name       string    `json:"name"`                  // as the menu names it
	Parents    []Process `json:"parents,omitempty"`     // parent first, up to terminal, desktop, manager or container
	Also       []uint16  `json:"also,omitempty"`        // further ports of the same server
	NotEndable string    `json:"not_endable,omitempty"` // why porttray does not end it
	Queue      *Queue    `json:"queue,omitempty"`       // absent if the system does not report it
}

// A Process identifies a process or its user.
type Process struct {
	PID     int32  `json:"pid,omitempty"`
	Process string `json:"process,omitempty"`
	User    string `json:"user,omitempty"`
}

// A Queue counts the connections that wait until the server accepts them.
type Queue struct {
	Waiting int  `json:"waiting"`
	Limit   int  `json:"limit"`
	Full    bool `json:"full"` // new connections get no answer
}

// A Datagram is a UDP socket.
type Datagram struct {
	Address netip.Addr `json:"address"`
	Process
}

// A Past is the last server that porttray saw close on the port.
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

// A ConnectResult is the result of an attempt to connect.
type ConnectResult string

// The results.
const (
	Accepted    ConnectResult = "accepted"
	Refused     ConnectResult = "refused"
	NoAnswer    ConnectResult = "no answer"
	Forbidden   ConnectResult = "not permitted" // a filter on this computer blocks it
	Unreachable ConnectResult = "unreachable"   // this computer lacks the address or its family
)

// A Bind is an attempt to bind.
type Bind struct {
	Address netip.Addr `json:"address"`
	Result  string     `json:"result"` // free, lingering, in use, not permitted, reserved, unavailable, unknown
	// Reusable says that a program that sets SO_REUSEADDR can still bind the address. Most servers set it.
	Reusable bool      `json:"reusable,omitempty"`
	By       []Process `json:"by,omitempty"` // the processes that hold it
	Error    string    `json:"error,omitempty"`

	state port.State
}

// A Trouble names a problem with reaching or binding the address.
type Trouble string

// The troubles.
const (
	None       Trouble = "none"
	InUse      Trouble = "port in use"
	Filtered   Trouble = "filtered"    // connections to the listener are dropped or rejected on their way
	NotRunning Trouble = "not running" // nothing listens at the address
	Hangs      Trouble = "hangs"       // the listener accepts no connections
)

// An Advice is one step to take, with an optional command.
type Advice struct {
	Says    string `json:"says"`
	Command string `json:"command,omitempty"`
}

// processOf returns the process in its JSON form.
func processOf(p owner.Process) Process {
	return Process{PID: p.PID, Process: p.Name, User: owner.UserName(p.User)}
}
