package tray

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"golang.design/x/clipboard"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
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

// networkAddress returns an address by which other machines reach l: the one that it is bound to or, if it is bound to all, the
// first of this computer that is no loopback address; an IPv4 address if there is one.
func networkAddress(l watcher.Listener) (netip.Addr, error) {
	candidates := l.Addrs
	if l.Wildcard() {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return netip.Addr{}, fmt.Errorf("list this computer's addresses: %w", err)
		}
		candidates = nil
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				candidates = append(candidates, prefix.Addr())
			}
		}
	}
	candidates = slices.DeleteFunc(slices.Clone(candidates), func(a netip.Addr) bool { return !a.IsGlobalUnicast() })
	if len(candidates) == 0 {
		return netip.Addr{}, errors.New("this computer has no address in a network now")
	}
	if i := slices.IndexFunc(candidates, netip.Addr.Is4); i >= 0 {
		return candidates[i], nil
	}
	return candidates[0], nil
}

// end stops or kills what l belongs to, if it has l's port still.
func end(ctx context.Context, l watcher.Listener, force bool) owner.Result {
	holders := func(ctx context.Context) ([]owner.Process, error) {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		s, err := watcher.Scan(ctx)
		return s.Holders(l.Port), err
	}
	if l.Container.ID != "" {
		return endContainer(ctx, l, holders)
	}
	return owner.End(ctx, l.Owner, force, holders)
}

// endContainer has its engine stop the container that publishes l's port.
func endContainer(ctx context.Context, l watcher.Listener, holders func(context.Context) ([]owner.Process, error)) owner.Result {
	switch err := engine.Stop(ctx, l.Container, l.Port); {
	case errors.Is(err, engine.ErrGone):
		return owner.Result{Outcome: owner.AlreadyGone}
	case errors.Is(err, fs.ErrPermission):
		return owner.Result{Outcome: owner.NotPermitted, Err: err}
	case err != nil:
		return owner.Result{Err: err}
	}
	// Engines in a virtual machine give the port back only a moment later.
	for try := 1; ; try++ {
		now, err := holders(ctx)
		switch {
		case err != nil:
			return owner.Result{Outcome: owner.Unclear, Ended: true, Err: err}
		case len(now) == 0:
			return owner.Result{Outcome: owner.Freed, Ended: true}
		case try < 10:
			time.Sleep(200 * time.Millisecond)
			continue
		case slices.ContainsFunc(now, l.Owner.Is):
			return owner.Result{Outcome: owner.StillRunning, Ended: true}
		}
		return owner.Result{Outcome: owner.Taken, Ended: true, By: now[0]}
	}
}
