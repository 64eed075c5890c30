// Porttray shows in the system tray what listens on this computer's loopback ports, opens it in the browser, stops it, and tells
// when a port appears or closes. Where there is no tray it does its watching in the terminal.
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
	"porttray/watcher/terminal"
)

const usage = `Usage: porttray [command]

Without a command porttray puts itself in the system tray; where there is no tray it watches in the terminal.

Commands:
  tray      the tray, or an error where there is none
  watch     watch in the terminal: the table of listeners, then a line per event
  version   print the version
  help      print this
`

func main() {
	slog.SetDefault(slog.New(slog.NewTextHandler(terminal.Attach(), nil)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program as if it were not caught
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out the command line and returns the exit status: 0 for success, 1 when it could not be done, 2 for bad usage.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	if len(args) == 0 {
		return status(trayOrWatch(ctx, out, errs), errs)
	}
	command := args[0]
	if len(args) > 1 {
		fmt.Fprintf(errs, "porttray: %s: %q is one argument too many\n\n%s", command, args[1], usage)
		return 2
	}
	var err error
	switch command {
	case "tray":
		err = tray.Run(ctx, &watcher.Watcher{}, version())
	case "watch":
		err = terminal.Watch(ctx, &watcher.Watcher{}, out)
	case "version", "--version", "-v":
		fmt.Fprintln(out, "porttray", version())
	case "help", "--help", "-h":
		fmt.Fprint(out, usage)
	default:
		fmt.Fprintf(errs, "porttray: %q is not a command\n\n%s", command, usage)
		return 2
	}
	return status(err, errs)
}

// status reports an error, if there is one, and returns the exit status that says so.
func status(err error, errs io.Writer) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(errs, "porttray:", err)
	return 1
}

// trayOrWatch runs the tray or, where there is none, says why and watches in the terminal.
func trayOrWatch(ctx context.Context, out, errs io.Writer) error {
	var err error
	if tray.Remote() {
		err = fmt.Errorf("%w: this is a terminal over ssh", tray.ErrNoTray)
	} else {
		err = tray.Run(ctx, &watcher.Watcher{}, version())
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
