package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
)

const (
	askLimit  = 2 * time.Second  // for checks that normally take milliseconds
	scanLimit = 10 * time.Second // for two scans on an overloaded computer
	maxSays   = 300              // characters of an untrusted text
	maxPorts  = 6                // named in one finding
)

// System checks everything below the desktop: the system, its list of listeners, hidden owners, its reports of process
// exits, and the container engines. The findings have this order, with one finding or more for the engines. System
// returns within scanLimit, and soon after ctx is done.
func System(ctx context.Context) []Finding {
	var engines engine.Engines
	return checks{
		system:  system,
		try:     watcher.Try,
		hidepid: hidepid,
		exits:   owner.ExitsUntold,
		engines: func(ctx context.Context) engine.List { return engines.List(ctx, false) },
		root:    os.Geteuid() == 0,
		goos:    runtime.GOOS,
	}.findings(ctx)
}

// checks are the functions that check the system.
type checks struct {
	system  func() string
	try     func(context.Context) (watcher.Trial, error)
	hidepid func() string
	exits   func() error // why the system does not report how processes end
	engines func(context.Context) engine.List
	root    bool
	goos    string
}

// evidence are read without a scan.
type evidence struct {
	system, hidepid string
	exits           error
}

// scans are the results of the scans.
type scans struct {
	watcher.Trial
	err error
}

func (c checks) findings(ctx context.Context) []Finding {
	var (
		facts   evidence
		scans   scans
		engines engine.List

		read, scanned, asked bool
		wg                   sync.WaitGroup
	)
	wg.Go(func() { facts, read = Within(ctx, askLimit, c.facts) })
	wg.Go(func() { scans, scanned = Within(ctx, scanLimit, c.scan) })
	wg.Go(func() { engines, asked = Within(ctx, askLimit, c.engines) })
	wg.Wait()

	all := []Finding{{Topic: "system", Says: clean(facts.system) + ", " + runtime.GOARCH}}
	if !read {
		all[0] = Unfinished(ctx, "system", askLimit)
	}
	if scanned {
		all = append(all, c.listeners(scans))
	} else {
		f := Unfinished(ctx, "listeners", scanLimit)
		f.Fatal = f.State == Broken
		all = append(all, f)
	}
	if scanned && scans.err == nil {
		all = append(all, c.owners(scans.Snapshot, engines.Published, facts.hidepid))
	}
	if read {
		all = append(all, c.endings(facts.exits, scans.Snapshot.Source))
	}
	if asked {
		all = append(all, containers(engines)...)
		if !engines.Podman() {
			all = append(all, podman(scans.Snapshot.Listeners)...)
		}
		return all
	}
	return append(all, Unfinished(ctx, "containers", askLimit))
}

func (c checks) facts(context.Context) evidence {
	return evidence{system: c.system(), hidepid: c.hidepid(), exits: c.exits()}
}

func (c checks) scan(ctx context.Context) scans {
	t, err := c.try(ctx)
	return scans{t, err}
}

// listeners reports the method and the time of the scans.
func (c checks) listeners(s scans) Finding {
	f := Finding{Topic: "listeners"}
	if s.err != nil {
		f.State, f.Fatal = Broken, true
		f.Says, f.Fix = "cannot be listed: "+clean(s.err.Error()), c.listFix(s.err)
		return f
	}
	f.Says = fmt.Sprintf("%s on %s, listed by %s; the first scan took %s, the next one %s",
		count(len(s.Snapshot.Listeners), "listener"), count(s.Snapshot.Ports(), "port"),
		s.Snapshot.Source, short(s.First), short(s.Again))
	if s.Detour != nil {
		f.State, f.Fix = Lacks, detourFix(s.Detour, s.Snapshot.Source)
		f.Says += ". A faster method fails here: " + clean(s.Detour.Error())
	}
	return f
}

// listFix returns the fix for a failed scan.
func (c checks) listFix(err error) string {
	switch {
	case c.goos == "linux" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)):
		return "let this program read /proc/net/tcp or use netlink sockets; a sandbox blocks both"
	case c.goos == "darwin":
		return "check that lsof -nP -iTCP -sTCP:LISTEN works in a terminal; porttray uses it"
	}
	return "try again; if it still fails, the computer is overloaded, or a sandbox blocks the list"
}

// detourFix returns the fix for a slow scan. porttray also works without it.
func detourFix(err error, source string) string {
	switch {
	case source == "gopsutil":
		return "let this program read /proc/net/tcp and use netlink sockets; without them, scans are only slower"
	case errors.Is(err, fs.ErrPermission):
		return "run porttray outside the sandbox (Snap, Flatpak, a container's filter) that forbids netlink sockets; " +
			"inside it, scans are only slower"
	case errors.Is(err, syscall.ENOENT):
		return "load the kernel module tcp_diag (sudo modprobe tcp_diag); without it, scans are only slower"
	}
	return "use a kernel with sock_diag (WSL 1 and gVisor have none); without it, scans are only slower"
}

// hidden holds the ports with hidden owners, by the reason.
type hidden struct {
	others    []uint16 // held by another user's process
	nobody    []uint16 // held by no visible process
	container []uint16 // published by a known container
}

// hiddenOwners sorts the listeners without a visible owner.
func hiddenOwners(listeners []server.Listener, published []engine.Published) hidden {
	var h hidden
	for _, l := range listeners {
		switch {
		case l.Owner.Known():
		case slices.ContainsFunc(published, func(p engine.Published) bool { return publishes(p, l) }):
			h.container = append(h.container, l.Port)
		case l.Owner.Foreign:
			h.others = append(h.others, l.Port)
		default:
			h.nobody = append(h.nobody, l.Port)
		}
	}
	return h
}

// publishes reports whether a listener can be the published port of a container.
func publishes(p engine.Published, l server.Listener) bool {
	return p.Port == l.Port &&
		slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool { return a == p.Addr || a.IsUnspecified() })
}

// owners reports the hidden owners and the reasons.
func (c checks) owners(s watcher.Snapshot, published []engine.Published, hides string) Finding {
	f := Finding{Topic: "owners"}
	h := hiddenOwners(s.Listeners, published)
	var says []string
	if len(h.container) > 0 {
		says = append(says, "held for known containers: "+ports(h.container))
	}
	if len(h.others) > 0 {
		says = append(says, "held by other users' processes: "+ports(h.others))
	}
	if len(h.nobody) > 0 {
		says = append(says, c.nobody(s.Source)+": "+ports(h.nobody))
	}
	if len(says) == 0 {
		f.Says = "the owner of every listener is visible"
		return f
	}
	n, all := len(h.container)+len(h.others)+len(h.nobody), count(len(s.Listeners), "listener")
	f.Says = fmt.Sprintf("the owners of %d of %s are hidden; %s", n, all, strings.Join(says, "; "))
	if len(h.others)+len(h.nobody) == 0 {
		return f
	}
	f.State, f.Fix = Lacks, c.ownersFix()
	if hides != "" {
		f.Says += "; /proc hides processes (" + clean(hides) + ")"
	}
	return f
}

// nobody describes hidden holders that are not known to belong to another user.
func (c checks) nobody(source string) string {
	switch {
	case source == "gopsutil":
		return "held by processes that this system does not show"
	case c.root:
		return "held by the kernel, or by a process in another container"
	}
	return "held by a process of this user that hides its files or runs in another container"
}

// ownersFix says how to see the owners. It never suggests to run the tray as root, because the tray can stop processes.
func (c checks) ownersFix() string {
	switch {
	case c.goos == "windows":
		return "to see them, run porttray list --all in a terminal of an administrator; the tray does not need it"
	case c.root:
		return "run porttray on the host or in the other container; the kernel's own listeners have no process"
	}
	return "to see them, run sudo porttray list --all, or porttray list --all as the other user; the tray needs no root"
}

// endings reports whether porttray can know why a server ended. The error exits says why it cannot.
func (c checks) endings(exits error, source string) Finding {
	f := Finding{Topic: "endings"}
	if c.goos == "linux" && source == "gopsutil" && exits == nil {
		exits = errors.New("listeners are not listed in the usual way")
	}
	if exits == nil {
		f.Says = "porttray can see why any server ended"
		return f
	}
	f.State = Lacks
	f.Says = "porttray cannot see why a server ended: " + clean(exits.Error())
	f.Fix = "none is known for this system; porttray still notices that a server ended"
	if c.goos == "linux" {
		f.Fix = "use Linux 6.15 or newer, outside a sandbox; porttray still notices that a server ended"
	}
	return f
}

// containers reports the engines that answered, failed or were not asked.
func containers(l engine.List) []Finding {
	const topic = "containers"
	var all []Finding
	for _, socket := range l.Answered {
		n := 0
		for _, p := range l.Published {
			if p.Container.Endpoint == socket {
				n++
			}
		}
		says := fmt.Sprintf("the engine at %s answers and publishes %s", clean(socket), count(n, "port"))
		all = append(all, Finding{Topic: topic, Says: says})
	}
	for _, failure := range l.Failed {
		f := Finding{Topic: topic, Says: clean(failure.Err.Error() + " (" + failure.Endpoint + ")")}
		if !errors.Is(failure.Err, engine.ErrNotRunning) {
			f.State, f.Fix = Lacks, engineFix(failure.Err)
		}
		all = append(all, f)
	}
	for _, socket := range l.Spared {
		says := "the engine at " + clean(socket) + " was not asked, because that would start it"
		all = append(all, Finding{Topic: topic, Says: says})
	}
	if len(all) == 0 {
		all = append(all, Finding{Topic: topic, Says: "there is no container engine in the usual places"})
	}
	return all
}

// podman reports that Podman forwards these listeners but has no socket for their names.
func podman(listeners []server.Listener) []Finding {
	i := slices.IndexFunc(listeners, func(l server.Listener) bool { return l.Owner.ForPodman() && !l.Owner.Foreign })
	if i < 0 {
		return nil
	}
	start := engine.PodmanSocket(listeners[i].Owner.User == "0")
	return []Finding{{Topic: "containers", State: Lacks,
		Says: "Podman forwards ports to containers, but has no socket to report their names",
		Fix:  start + "; to keep it, use enable --now instead of start"}}
}

// engineFix returns the fix for an engine that runs but does not list its containers.
func engineFix(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "add this user to the group of the socket (usually docker) and log in again; this gives the user " +
			"the power of root; without it, the names of its containers are unknown"
	}
	return "check that docker ps works, and whether the engine is yours or the system's; " +
		"without an answer, the names of its containers are unknown"
}

// ports lists the first maxPorts of sorted ports.
func ports(all []uint16) string {
	all = slices.Compact(all)
	var names []string
	for _, port := range all[:min(len(all), maxPorts)] {
		names = append(names, strconv.Itoa(int(port)))
	}
	text := strings.Join(names, ", ")
	if more := len(all) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// short rounds a duration to about two digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

func clean(s string) string { return owner.Printable(s, maxSays) }
