// Porttray shows in the system tray what listens on this computer's loopback ports, opens it in the browser, stops it, and tells
// when a port appears or closes. Its commands give the same answers in a terminal.
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
	context.AfterFunc(ctx, stop) // a second signal ends the program as if it were not caught
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

// showTray runs the tray. That this user has one already is no error: it shows itself.
func showTray(ctx context.Context, out io.Writer) error {
	err := tray.Run(ctx, &watcher.Watcher{}, version())
	if errors.Is(err, tray.ErrRunning) {
		_, err = fmt.Fprintf(out, "%v.\n", err)
	}
	return err
}

// trayOrWatch runs the tray or, where there is none, says why and watches in the terminal.
func trayOrWatch(ctx context.Context, out, errs io.Writer) error {
	var err error
	if tray.Remote() {
		err = fmt.Errorf("%w: this is a terminal over ssh", tray.ErrNoTray)
	} else {
		err = showTray(ctx, out)
	}
	if errors.Is(err, tray.ErrNoTray) {
		fmt.Fprintf(errs, "porttray: %v; watching here instead, Ctrl-C ends it\n", err)
		err = terminal.Watch(ctx, &watcher.Watcher{}, out)
	}
	return err
}

// version returns the version that the go command recorded: a tag, or a commit's date and hash.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
