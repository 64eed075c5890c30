// Package tray is the desktop face of porttray: an icon with a menu of the servers, notifications, and the actions
// of the menu.
//
// One loop owns all state. An update of the watcher, a click or the end of an action changes its model. view turns
// the model into a menu of plain data. A drawer changes the screen to that menu, with as few calls as possible.
// Everything that can block runs outside the loop, and its result returns to the loop as a value.
//
// A judge decides which events people hear of, when, and which come together in one notice. On Linux the package
// serves the icon and the menu on the session bus itself. On Windows and macOS systray does.
//
// A Stop or Kill in the menu belongs to the processes of one server for good. If the listener is gone, or the number
// of workers has changed, a click on it hits nobody and says so.
package tray

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"time"

	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/history"
	"porttray/watcher/owner"
	"porttray/watcher/port"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// ErrNoTray means that there is no desktop session with a tray. Run wraps it in an error with the reason.
var ErrNoTray = errors.New("no tray")

// Remote reports whether this program was started over ssh. A tray would then appear on a screen that the person may
// not see.
func Remote() bool { return os.Getenv("SSH_CONNECTION") != "" || os.Getenv("SSH_TTY") != "" }

// Run shows the servers of w in the system tray, and asks w for a scan when somebody opens the menu. It blocks until
// ctx is done, the person quits, or the desktop session ends. Call it on the main goroutine. Without a tray it returns
// at once, with an error that wraps ErrNoTray. If this user already has a tray, the error wraps ErrRunning. A session
// without a tray host is no error: the icon appears with the host.
func Run(ctx context.Context, w *watcher.Watcher, version string) error {
	session, err := openSession(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoTray, err)
	}
	defer session.close()
	only, err := openInstance()
	if err != nil {
		return err
	}
	defer only.close()
	tuneRuntime()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	notices := newOutbox(session.send)
	notices.heard = session.heard
	l := newLoop(version, runtime.GOOS)
	l.model.inline = isGNOME(os.Getenv("XDG_CURRENT_DESKTOP"))
	w.Wake, w.Intervals, l.numbers, l.clicked, l.peek = l.wake, l.pace, readPorts(), session.clicked, menuPeek
	if startedAtLogin() {
		l.judge.quiet = time.Now().Add(loggingIn)
	}
	keep, seen := newKeeper(), history.NewRecorder()
	l.unkept = keep.lost
	l.restore(keep.choices)
	if at, err := loginEnabled(); err != nil {
		slog.Warn("cannot tell whether porttray starts at login", "err", err)
	} else {
		l.model.atLogin = at
	}
	l.do = effects{scheme: browser.Scheme, open: browser.Open, copy: copyText, network: networkAddress,
		end: watcher.End, say: notices.put, save: keep.put, record: seen.Note, login: setLogin, edit: editSettings,
		console: openConsole}

	if keep.problem != nil {
		body := owner.Printable(keep.problem.Error(), maxTitle)
		notices.put(notice{title: "Your saved choices are ignored", body: body})
	}

	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, l.updates) })
	wg.Go(func() { only.answer(ctx, l.showRequests) })
	wg.Go(func() { notices.run(ctx) })
	wg.Go(func() { keep.run(ctx) })
	wg.Go(func() { seen.Run(ctx) })
	if file, err := settings.File(); err != nil {
		slog.Warn("there are no settings", "err", err)
	} else {
		wg.Go(func() { settings.Watch(ctx, file, l.changes) })
	}
	wg.Go(func() {
		session.watch(ctx, l.hosts)
		cancel()
	})
	drawn := make(chan struct{}) // closed at the end of all drawing
	session.show(ctx, view(l.model), func(root node, f face) {
		l.drawer = newDrawer(root, f, view(l.model))
		go func() {
			defer close(drawn)
			l.run(ctx)
			cancel()
		}()
	}, l.signs, drawn)
	cancel()
	wg.Go(l.actions.Wait)
	atMost(exitLimit, wg.Wait)
	return nil
}

// startedAtLogin reports whether the desktop session started this program. It recognises XSMP, and systemd units for
// autostart files (systemd-xdg-autostart-generator(8)).
func startedAtLogin() bool {
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	return os.Getenv("DESKTOP_AUTOSTART_ID") != "" || err == nil && bytes.Contains(cgroup, []byte("@autostart.service"))
}

// readPorts asks the system about its port ranges. On Windows that can take seconds.
func readPorts() <-chan port.System {
	read := make(chan port.System, 1)
	go func() { read <- port.Read() }()
	return read
}

// exitLimit is how long the program waits at its end for running work. Nothing that hangs keeps it alive.
const exitLimit = 400 * time.Millisecond

// atMost calls wait, and returns when it returns, but after limit at the latest.
func atMost(limit time.Duration, wait func()) {
	done := make(chan struct{})
	go func() {
		wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// An outbox sends notices one after another, away from the loop. If the service hangs or is too slow, it drops notices
// that do not fit its queue.
type outbox struct {
	queue chan notice
	heard <-chan func() // handlers of later answers; called between notices
	send  func(context.Context, notice) error
	full  bool // the last notice did not fit
}

func newOutbox(send func(context.Context, notice) error) *outbox {
	return &outbox{queue: make(chan notice, 8), send: send}
}

// put never blocks. Only one goroutine may call it.
func (o *outbox) put(n notice) {
	select {
	case o.queue <- n:
		o.full = false
	default:
		if !o.full {
			slog.Warn("notifications are dropped, because earlier ones are still waiting")
		}
		o.full = true
	}
}

func (o *outbox) run(ctx context.Context) {
	working := true
	for {
		select {
		case <-ctx.Done():
			return
		case take := <-o.heard:
			take()
		case n := <-o.queue:
			err := o.sendOne(ctx, n)
			if err != nil && working && ctx.Err() == nil {
				slog.Warn("notifications cannot be sent", "err", err)
			}
			working = err == nil
		}
	}
}

func (o *outbox) sendOne(ctx context.Context, n notice) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	n.title, n.body = owner.LeftToRight(n.title), owner.LeftToRight(n.body)
	return o.send(ctx, n)
}

// effects are the effects of the loop outside its menu.
type effects struct {
	scheme  func(context.Context, server.Listener) string
	open    func(ctx context.Context, url string) error
	copy    func(ctx context.Context, text string) error
	network func(server.Listener) (netip.Addr, error)
	end     func(ctx context.Context, s server.Server, force bool, wait time.Duration) owner.Result
	say     func(notice)                    // does not block
	save    func(choices)                   // does not block; nil keeps nothing
	login   func(on bool) error             // turns the start at login on or off
	edit    func(ctx context.Context) error // opens the settings file
	console func(terminal, dir string) error
	record  func(watcher.Update) // does not block
}
