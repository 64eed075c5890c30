// Package engine asks the container engines of this computer (Docker, Podman and what speaks like them) which container
// publishes a port, and stops a container. It speaks the Docker Engine API over local sockets only, and hides where those are.
//
// Who looks must not wake what sleeps. On Linux systemd may hold an engine's socket and start the engine as soon as somebody
// connects; Docker Desktop stops its virtual machine when no container runs and may start it again when it is asked for
// containers. So [Engines.Watch] connects only to engines that run already, and [Engines.List] is to be called when there is a
// reason: a listener that some container's forwarder holds, or word from Watch.
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

// A Container is a running container, or a pod of Podman, whose containers share their ports. It is comparable. All texts are what its engine says: untrusted, at most 256 bytes each.
type Container struct {
	ID    string // hexadecimal
	Name  string
	Image string

	Project string // of Compose, from the container's labels; may be empty
	Service string // in that project

	Pod bool // it is a pod

	Endpoint string // the socket of its engine
}

// Kind returns what the container is called: "container", or "pod".
func (c Container) Kind() string {
	if c.Pod {
		return "pod"
	}
	return "container"
}

// A Published is one TCP port of this computer that a container publishes.
type Published struct {
	// Addr is the address that the port is published on. An unspecified one stands for all addresses of its family; when the
	// engine names none, as Podman does, it is ::, which then stands for those of IPv4 as well. An engine in a virtual machine
	// means that machine's addresses: what it publishes on all of them may be a listener on 127.0.0.1 here.
	Addr      netip.Addr
	Port      uint16
	Inside    uint16 // the container's own port, to which it leads; 0 if the engine does not say
	Container Container
}

// A List is what the engines answered.
type List struct {
	// Published is sorted by port and address. A port that several containers publish comes several times; a container that is
	// seen through several sockets counts once.
	Published []Published
	// Others are the running containers that publish nothing. They may use the computer's own network.
	Others []Container
	// Answered are the sockets of the engines that gave a whole answer: what is not in Published, they do not publish.
	Answered []string
	// Failed are the others. What their containers publish is not known, whatever it was before.
	Failed []Failure
	// Spared are the sockets that were not asked, because asking would start an engine.
	Spared []string
}

// A Failure is an engine that did not answer, and why, in a few plain words. The error wraps the cause: fs.ErrPermission when
// this user may not ask, ErrNotRunning when there is a socket and no engine.
type Failure struct {
	Endpoint string
	Err      error
}

// ErrNotRunning says that no engine answers because none runs.
var ErrNotRunning = errors.New("no container engine is running")

// Err says in plain words why containers may be missing from l. It is nil when every engine that runs has answered, and at
// least one does. It is ErrNotRunning when none runs or none is found, else the first engine's reason.
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

// Podman reports whether Podman has a socket, whatever it answered.
func (l List) Podman() bool {
	sockets := slices.Concat(l.Answered, l.Spared)
	for _, f := range l.Failed {
		sockets = append(sockets, f.Endpoint)
	}
	return slices.ContainsFunc(sockets, func(socket string) bool { return engineName(socket) == "Podman" })
}

// PodmanSocket returns the command that has systemd hold Podman's socket until the next start of the system: that of the system, or of
// this user. Podman itself runs without, and then tells nobody of its containers.
func PodmanSocket(system bool) string {
	if system {
		return "systemctl start podman.socket"
	}
	return "systemctl --user start podman.socket"
}

// Engines are the container engines of this computer. The zero value is ready to use; nothing is kept between calls.
type Engines struct {
	// Sockets are the engines' sockets; nil means those that are found in the usual places, anew each time.
	Sockets []string

	dial dialer // nil means dialSocket; the test seam
}

// A dialer connects to an engine's socket.
type dialer func(ctx context.Context, socket string) (net.Conn, error)

// answerWithin is the time that engines have for saying what they publish.
const answerWithin = time.Second

// List asks every engine at once, and returns within a second or so. A Docker engine that systemd would only start is not
// asked. Podman has no engine that runs beside its containers: asking starts one, which ends again after some seconds. So it is
// asked only with wake, which says that some forwarder is known to be there.
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

// tidy sorts what several engines publish. One engine may have several sockets; of what comes twice the first is kept.
func tidy(published []Published) []Published {
	slices.SortStableFunc(published, order)
	return slices.CompactFunc(published, func(a, b Published) bool { return order(a, b) == 0 })
}

// order sorts by port, address and container, whatever socket the container was seen through.
func order(a, b Published) int {
	return cmp.Or(cmp.Compare(a.Port, b.Port), a.Addr.Compare(b.Addr), strings.Compare(a.Container.ID, b.Container.ID))
}
