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
)

const (
	askLimit  = 2 * time.Second  // for what answers at once, or hangs
	scanLimit = 10 * time.Second // for two scans: a computer in trouble is slow
	maxSays   = 300              // characters of what others say
	maxPorts  = 6                // named in one finding
)

// System looks at what is below the desktop: the system, how it lists its listeners, whose owners stay hidden, whether it tells how
// processes end, and the container engines. The findings come in that order, the latter one by one. It returns within scanLimit,
// and soon after ctx is done.
func System(ctx context.Context) []Finding {
	var engines engine.Engines
	return looks{
		system:  system,
		try:     watcher.Try,
		hidepid: hidepid,
		untold:  owner.ExitsUntold,
		engines: func(ctx context.Context) engine.List { return engines.List(ctx, false) },
		root:    os.Geteuid() == 0,
		goos:    runtime.GOOS,
	}.findings(ctx)
}

// looks are the ways in which the system is looked at.
type looks struct {
	system  func() string
	try     func(context.Context) (watcher.Trial, error)
	hidepid func() string
	untold  func() error // why the system does not tell how processes end
	engines func(context.Context) engine.List
	root    bool
	goos    string
}

// facts are what can be read at once.
type facts struct {
	system, hidepid string
	untold          error
}

// scans are what came of the scans.
type scans struct {
	watcher.Trial
	err error
}

func (l looks) findings(ctx context.Context) []Finding {
	var (
		facts   facts
		scans   scans
		engines engine.List

		read, scanned, asked bool
		wg                   sync.WaitGroup
	)
	wg.Go(func() { facts, read = Within(ctx, askLimit, l.facts) })
	wg.Go(func() { scans, scanned = Within(ctx, scanLimit, l.scan) })
	wg.Go(func() { engines, asked = Within(ctx, askLimit, l.engines) })
	wg.Wait()

	all := []Finding{{Topic: "system", Says: clean(facts.system) + ", " + runtime.GOARCH}}
	if !read {
		all[0] = Unfinished(ctx, "system", askLimit)
	}
	if scanned {
		all = append(all, l.listeners(scans))
	} else {
		f := Unfinished(ctx, "listeners", scanLimit)
		f.Fatal = f.State == Broken
		all = append(all, f)
	}
	if scanned && scans.err == nil {
		all = append(all, l.owners(scans.Snapshot, engines.Published, facts.hidepid))
	}
	if read {
		all = append(all, l.endings(facts.untold, scans.Snapshot.Source))
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

func (l looks) facts(context.Context) facts {
	return facts{system: l.system(), hidepid: l.hidepid(), untold: l.untold()}
}

func (l looks) scan(ctx context.Context) scans {
	t, err := l.try(ctx)
	return scans{t, err}
}

// listeners tells how the listeners are listed, and what that costs.
func (l looks) listeners(s scans) Finding {
	f := Finding{Topic: "listeners"}
	if s.err != nil {
		f.State, f.Fatal = Broken, true
		f.Says, f.Fix = "cannot be listed: "+clean(s.err.Error()), l.listFix(s.err)
		return f
	}
	f.Says = fmt.Sprintf("%s on %s, listed by %s: in %s at first, in %s right after that", count(len(s.Snapshot.Listeners), "listener"),
		count(s.Snapshot.Ports(), "port"), s.Snapshot.Source, short(s.First), short(s.Again))
	if s.Detour != nil {
		f.State, f.Fix = Lacks, detourFix(s.Detour, s.Snapshot.Source)
		f.Says += ". There is a quicker way, which fails here: " + clean(s.Detour.Error())
	}
	return f
}

// listFix says what helps where the listeners cannot be listed.
func (l looks) listFix(err error) string {
	switch {
	case l.goos == "linux" && (errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist)):
		return "let this program read /proc/net/tcp, or use netlink sockets: a sandbox keeps it from both"
	case l.goos == "darwin":
		return "see whether lsof -nP -iTCP -sTCP:LISTEN works in a terminal: porttray asks by it"
	}
	return "ask again; if it stays like this, the computer is overloaded, or a sandbox keeps this program from the list"
}

// detourFix says what helps where the listeners are not listed in the quickest way. In all cases porttray works without.
func detourFix(err error, source string) string {
	switch {
	case source == "gopsutil":
		return "let this program read /proc/net/tcp and use netlink sockets; without, it only takes more time"
	case errors.Is(err, fs.ErrPermission):
		return "run porttray outside of the sandbox (Snap, Flatpak, a container's filter) that forbids netlink sockets; inside, it only takes more time"
	case errors.Is(err, syscall.ENOENT):
		return "load the kernel module tcp_diag (sudo modprobe tcp_diag); without, it only takes more time"
	}
	return "a kernel with sock_diag, which WSL 1 and gVisor are without; it only takes more time like this"
}

// The listeners whose owners stay hidden, by why they do.
type hidden struct {
	others    []uint16 // held by another user's process
	nobody    []uint16 // held by no process that can be seen
	container []uint16 // published by a container, which is known instead
}

// hiddenOwners sorts the listeners without a visible owner.
func hiddenOwners(listeners []watcher.Listener, published []engine.Published) hidden {
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

// publishes reports whether a listener can be the one by which a container's port is published.
func publishes(p engine.Published, l watcher.Listener) bool {
	return p.Port == l.Port && slices.ContainsFunc(l.Addrs, func(a netip.Addr) bool { return a == p.Addr || a.IsUnspecified() })
}

// owners tells whose owners stay hidden, and why.
func (l looks) owners(s watcher.Snapshot, published []engine.Published, hides string) Finding {
	f := Finding{Topic: "owners"}
	h := hiddenOwners(s.Listeners, published)
	var says []string
	if len(h.container) > 0 {
		says = append(says, "held for containers, which are known: "+ports(h.container))
	}
	if len(h.others) > 0 {
		says = append(says, "held by other users' processes: "+ports(h.others))
	}
	if len(h.nobody) > 0 {
		says = append(says, l.nobody(s.Source)+": "+ports(h.nobody))
	}
	if len(says) == 0 {
		f.Says = "the owner of every listener can be seen"
		return f
	}
	n := len(h.container) + len(h.others) + len(h.nobody)
	f.Says = fmt.Sprintf("the owners of %d of %s stay hidden; %s", n, count(len(s.Listeners), "listener"), strings.Join(says, "; "))
	if len(h.others)+len(h.nobody) == 0 {
		return f
	}
	f.State, f.Fix = Lacks, l.ownersFix()
	if hides != "" {
		f.Says += "; /proc hides processes (" + clean(hides) + ")"
	}
	return f
}

// nobody says what is known of the holders that are neither visible nor known to be another user's.
func (l looks) nobody(source string) string {
	switch {
	case source == "gopsutil":
		return "held by processes that this system does not show"
	case l.root:
		return "held by no process that can be seen, but by the kernel itself or from another container"
	}
	return "held under this user's name by no process that can be seen: one that hides its files, or is in another container"
}

// ownersFix says how the owners can be seen. The tray is never to be run as root: it can stop processes.
func (l looks) ownersFix() string {
	switch {
	case l.goos == "windows":
		return "for a look only: porttray list --all in a terminal that was opened as administrator; the tray does not need it"
	case l.root:
		return "look where they run, on the host or in the other container; what the kernel itself serves has no process"
	}
	return "for a look only: sudo porttray list --all, or porttray list --all as the other user; the tray needs no root"
}

// endings tells whether the reason of a stop can be told.
func (l looks) endings(untold error, source string) Finding {
	f := Finding{Topic: "endings"}
	if l.goos == "linux" && source == "gopsutil" && untold == nil {
		untold = errors.New("listeners are not listed in the usual way")
	}
	if untold == nil {
		f.Says = "how a server ended can be told, whoever started it"
		return f
	}
	f.State = Lacks
	f.Says = "why a server ended cannot be told: " + clean(untold.Error())
	f.Fix = "none that is known: this system does not tell; that a server ended is noticed all the same"
	if l.goos == "linux" {
		f.Fix = "Linux 6.15 or newer, outside of a sandbox, tells it; that a server ended is noticed all the same"
	}
	return f
}

// containers tells which engines answered, and which did not.
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
		all = append(all, Finding{Topic: topic, Says: fmt.Sprintf("the engine at %s answers and publishes %s", clean(socket), count(n, "port"))})
	}
	for _, failure := range l.Failed {
		f := Finding{Topic: topic, Says: clean(failure.Err.Error() + " (" + failure.Endpoint + ")")}
		if !errors.Is(failure.Err, engine.ErrNotRunning) {
			f.State, f.Fix = Lacks, engineFix(failure.Err)
		}
		all = append(all, f)
	}
	for _, socket := range l.Spared {
		all = append(all, Finding{Topic: topic, Says: "the engine at " + clean(socket) + " was not asked, because that would start it"})
	}
	if len(all) == 0 {
		all = append(all, Finding{Topic: topic, Says: "there is no container engine in the usual places"})
	}
	return all
}

// podman says how Podman, which has no socket, tells of the containers that these listeners forward to.
func podman(listeners []watcher.Listener) []Finding {
	i := slices.IndexFunc(listeners, func(l watcher.Listener) bool { return l.Owner.ForPodman() && !l.Owner.Foreign })
	if i < 0 {
		return nil
	}
	start := engine.PodmanSocket(listeners[i].Owner.User == "0")
	return []Finding{{Topic: "containers", State: Lacks, Says: "Podman forwards ports to containers, and has no socket through which it would tell their names",
		Fix: start + "; for good, with enable --now instead of start"}}
}

// engineFix says what helps where an engine runs and does not tell about its containers.
func engineFix(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return "have this user join the group of its socket (mostly docker) and log in again, which gives as much power as root has; without, its containers' names stay unknown"
	}
	return "see whether docker ps works, and whether the engine is yours or the system's; without an answer, its containers' names stay unknown"
}

// ports names the first of the ports.
func ports(all []uint16) string {
	all = slices.Compact(all) // they are sorted
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

// short rounds a duration to two digits or so.
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
