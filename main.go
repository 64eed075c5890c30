// Porttray lists the servers on this computer's loopback ports in the system tray. It opens them in the browser, stops
// them, and reports when one opens or closes. Its commands give the same answers in a terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"porttray/tray"
	"porttray/watcher"
	"porttray/watcher/browser"
	"porttray/watcher/terminal"
)

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(terminal.Attach(), nil)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	code := terminal.Run(ctx, terminal.Program{
		Version: version(),
		Main:    trayOrWatch,
		Tray:    showTray,
		Open:    browser.Open,
		Examine: tray.Examine,
	}, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// showTray runs the tray. If this user already runs one, that tray shows itself, and showTray returns no error.
func showTray(ctx context.Context, out io.Writer) error {
	err := tray.Run(ctx, &watcher.Watcher{}, version())
	if errors.Is(err, tray.ErrRunning) {
		_, err = fmt.Fprintf(out, "%v.\n", err)
	}
	return err
}

// trayOrWatch runs the tray. Without a tray it says why, and watches in the terminal.
func trayOrWatch(ctx context.Context, out, errs io.Writer) error {
	var err error
	if tray.Remote() {
		err = fmt.Errorf("%w: this is a terminal over ssh", tray.ErrNoTray)
	} else {
		err = showTray(ctx, out)
	}
	if errors.Is(err, tray.ErrNoTray) {
		fmt.Fprintf(errs, "porttray: %v; watching in this terminal instead; Ctrl-C ends it\n", err)
		err = terminal.Watch(ctx, &watcher.Watcher{}, out)
	}
	return err
}

// version returns the version recorded by the go command: a tag, or the date and hash of a commit.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
