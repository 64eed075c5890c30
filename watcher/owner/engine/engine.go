// Package engine asks this computer's container engines (Docker, Podman and compatible ones) which container publishes
// a port, and stops containers. It speaks the Docker Engine API over local sockets only, and hides their paths.
//
// Asking must not start an engine. On Linux systemd may hold an engine's socket and start the engine at the first
// connection. Docker Desktop stops its virtual machine when no container runs, and may start it again when somebody
// asks for containers. So [Engines.Watch] connects only to running engines. Call [Engines.List] only for a reason: a
// listener of a forwarder, or a signal from Watch.
package engine

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Container is a running container, or a Podman pod, whose containers share their ports. It is comparable. All texts
// come from its engine: untrusted, at most 256 bytes each.
type Container struct {
	ID    string // hexadecimal
	Name  string
	Image string

	Project string // Compose project, from the container's labels; may be empty
	Service string // Compose service in that project

	Pod bool // it is a pod rather than a container

	Endpoint string // the socket of its engine
}

// Kind returns "container" or "pod".
func (c Container) Kind() string {
	if c.Pod {
		return "pod"
	}
	return "container"
}

// A Published is a TCP port of this computer that a container publishes.
type Published struct {
	// Addr is the address of the published port. An unspecified address stands for all addresses of its family. If the
	// engine names none, like Podman, Addr is :: and stands for IPv4 too. An engine in a virtual machine means that
	// machine's addresses. A port on all of them may be a listener on 127.0.0.1 here.
	Addr      netip.Addr
	Port      uint16
	Inside    uint16 // the container's own port; 0 if the engine does not say
	Container Container
}

// A List holds the engines' answers.
type List struct {
	// Published is sorted by port and address. A port of several containers has several entries. A container seen
	// through several sockets counts once.
	Published []Published
	// Others are the running containers without published ports. They may use the computer's own network.
	Others []Container
	// Answered are the sockets of engines with a complete answer. They publish nothing that is not in Published.
	Answered []string
	// Failed are the other engines. Their published ports are unknown, and may have changed.
	Failed []Failure
	// Spared are the sockets that List did not ask, because asking would start an engine.
	Spared []string
}

// A Failure is an engine that did not answer, with the reason in a few plain words. The error wraps the cause:
// fs.ErrPermission if this user may not ask, ErrNotRunning if a socket has no engine.
type Failure struct {
	Endpoint string
	Err      error
}

// ErrNotRunning says that no engine answers because none runs.
var ErrNotRunning = errors.New("no container engine is running")

// Err says in plain words why containers may be missing from l. It is nil if at least one engine runs and all running
// ones answered. It is ErrNotRunning if none runs or none is found. Otherwise it is the first engine's reason.
func (l List) Err() error {
	for _, f := range l.Failed {
		if !errors.Is(f.Err, ErrNotRunning) {
			return f.Err
		}
	}
	if len(l.Answered) == 0 {
		return ErrNotRunning
	}
	return nil
}

// Podman reports whether Podman has a socket, with any answer.
func (l List) Podman() bool {
	sockets := slices.Concat(l.Answered, l.Spared)
	for _, f := range l.Failed {
		sockets = append(sockets, f.Endpoint)
	}
	return slices.ContainsFunc(sockets, func(socket string) bool { return engineName(socket) == "Podman" })
}

// PodmanSocket returns the command for a Podman socket held by systemd, the system's or this user's, until the next
// boot. Podman works without this socket, but then nobody can ask for its containers.
func PodmanSocket(system bool) string {
	if system {
		return "systemctl start podman.socket"
	}
	return "systemctl --user start podman.socket"
}

// Engines are this computer's container engines. The zero value is ready to use. Calls share no state.
type Engines struct {
	// Sockets are the engines' sockets. If nil, each call searches the usual places.
	Sockets []string

	dial dialer // nil means dialSocket; the test seam
}

// A dialer connects to an engine's socket.
type dialer func(ctx context.Context, socket string) (net.Conn, error)

// answerWithin is how long engines may take to answer.
const answerWithin = time.Second

// List asks all engines at once and returns within about a second. It does not ask a Docker engine that systemd would
// first have to start. Asking Podman starts a service that ends again after some seconds. So List asks Podman only with
// wake, which says that a forwarder exists.
func (e *Engines) List(ctx context.Context, wake bool) List {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var l List
	sockets := slices.DeleteFunc(slices.Clone(e.sockets()), func(socket string) bool {
		spared := !wake && engineName(socket) == "Podman"
		if spared {
			l.Spared = append(l.Spared, socket)
		}
		return spared
	})
	published, others := make([][]Published, len(sockets)), make([][]Container, len(sockets))
	errs := make([]error, len(sockets))
	var asking sync.WaitGroup
	for i, socket := range sockets {
		asking.Go(func() { published[i], others[i], errs[i] = e.ask(ctx, socket) })
	}
	asking.Wait()

	for i, socket := range sockets {
		if errs[i] != nil {
			l.Failed = append(l.Failed, Failure{socket, errs[i]})
			continue
		}
		l.Answered = append(l.Answered, socket)
		l.Published = append(l.Published, published[i]...)
		l.Others = append(l.Others, others[i]...)
	}
	l.Published = tidy(l.Published)
	return l
}

func (e *Engines) sockets() []string {
	if e.Sockets != nil {
		return e.Sockets
	}
	return distinct(candidates())
}

// tidy sorts the published ports of all engines, and drops duplicates from an engine with several sockets.
func tidy(published []Published) []Published {
	slices.SortStableFunc(published, order)
	return slices.CompactFunc(published, func(a, b Published) bool { return order(a, b) == 0 })
}

// order compares by port, address and container, regardless of the socket.
func order(a, b Published) int {
	return cmp.Or(cmp.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr), strings.Compare(a.Container.ID, b.Container.ID))
}
