package tray

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"time"

	"golang.design/x/clipboard"

	"porttray/watcher"
	"porttray/watcher/owner"
)

// scheme finds out whether the server behind l speaks TLS, with one attempt of at most 300 ms. Its certificate does not matter:
// the browser will judge it.
func scheme(ctx context.Context, l watcher.Listener) string {
	at := netip.AddrPortFrom(loopback(l), l.Port)
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS10}}
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err == nil {
		conn.Close()
		return "https"
	}
	// An alert is an answer in TLS: a server that wants, say, a certificate of the client.
	var alert tls.AlertError
	var op *net.OpError
	if errors.As(err, &alert) || errors.As(err, &op) && op.Op == "remote error" {
		return "https"
	}
	return "http"
}

// browserCommand returns the command by which a system opens a URL in the browser of the person's choice.
func browserCommand(goos, url string) []string {
	switch goos {
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler", url}
	case "darwin":
		return []string{"open", url}
	}
	return []string{"xdg-open", url}
}

// openURL opens url in the browser and waits to see that it works, at most 5 seconds: an opener may run for as long as the
// browser does, and must outlive this program.
func openURL(ctx context.Context, url string) error {
	args := browserCommand(runtime.GOOS, url)
	cmd := exec.Command(args[0], args[1:]...)
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("open the browser: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("open the browser: %s: %w", args[0], err)
		}
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	return nil
}

// copyText puts text on the clipboard. On X11 it is there for as long as this program runs.
func copyText(ctx context.Context, text string) error {
	if err := clipboard.Init(); err != nil {
		return errors.New("reach the clipboard: this session has none that can be used")
	}
	if _, err := clipboard.Write(ctx, clipboard.FmtText, []byte(text)); err != nil {
		return fmt.Errorf("write to the clipboard: %w", err)
	}
	return nil
}

// end stops or kills the owner of l, if it holds l's port still.
func end(ctx context.Context, l watcher.Listener, force bool) owner.Result {
	return owner.End(ctx, l.Owner, force, func(ctx context.Context) ([]owner.Process, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		s, err := watcher.Scan(ctx)
		return s.Holders(l.Port), err
	})
}
