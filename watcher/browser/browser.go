// Package browser opens a listener in the browser of the person's choice: it knows by which address a browser gets there, whether
// the server wants TLS, and how a system opens an address.
package browser

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os/exec"
	"runtime"
	"time"

	"porttray/watcher"
)

// URL returns the address to open for l. It names localhost rather than 127.0.0.1, because development certificates and cookies
// are issued for that name. A listener that is not reachable as localhost is named by its own address.
func URL(l watcher.Listener, scheme string) string { return scheme + "://" + Address(l) }

// Address returns the same address without a scheme, as other clients than browsers take it: "localhost:5432".
func Address(l watcher.Listener) string {
	if at := address(l); !l.Wildcard() && at != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		return AddressAt(at, l.Port)
	}
	return fmt.Sprintf("localhost:%d", l.Port)
}

// address returns the IP address by which l is reached from this computer: a loopback address, if it can be.
func address(l watcher.Listener) netip.Addr {
	if at := l.Loopback(); at.IsValid() || len(l.Addrs) == 0 {
		return at
	}
	return l.Addrs[0]
}

// URLAt returns the address to open for a port at that IP address.
func URLAt(at netip.Addr, port uint16, scheme string) string {
	return scheme + "://" + AddressAt(at, port)
}

// AddressAt returns the address of a port at that IP address, without a scheme: "[::1]:5432".
func AddressAt(at netip.Addr, port uint16) string { return netip.AddrPortFrom(at, port).String() }

// Scheme finds out whether the server behind l speaks TLS, with one attempt of at most 300 ms, and returns "https" or "http". Its
// certificate does not matter: the browser will judge it. A server that is known not to be for a browser is not asked.
func Scheme(ctx context.Context, l watcher.Listener) string {
	if !l.Web() {
		return "http"
	}
	at := netip.AddrPortFrom(address(l), l.Port)
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

// Open opens a URL in the browser and waits to see that it works, at most 5 seconds: an opener may run for as long as the browser
// does, and must outlive this program. Nothing is opened but what URL and URLAt return, with a path.
func Open(ctx context.Context, at string) error {
	if !opens(at) {
		return fmt.Errorf("open the browser: %q is not the address of a server on this computer", at)
	}
	if err := start(ctx, command(runtime.GOOS, at)); err != nil {
		return fmt.Errorf("open the browser: %w", err)
	}
	return nil
}

// opens reports whether a URL leads by http or https to a port of localhost or of an IP address. What a system opens could be
// anything else: a file, a program, a page with a password in its address.
func opens(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Port() == "" {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil || u.Hostname() == "localhost"
}

// Edit opens a file in what the desktop has for such files, and waits as Open does.
func Edit(ctx context.Context, file string) error {
	if err := start(ctx, editor(runtime.GOOS, file)); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	return nil
}

// start runs a command that opens something.
func start(ctx context.Context, args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	Detach(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
	case <-time.After(5 * time.Second):
	case <-ctx.Done():
	}
	return nil
}

// command returns the command by which a system opens a URL in the browser of the person's choice.
func command(goos, url string) []string {
	switch goos {
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler", url}
	case "darwin":
		return []string{"open", url}
	}
	return []string{"xdg-open", url}
}

// editor returns the command by which a system opens a text file. Windows may know no program for its extension.
func editor(goos, file string) []string {
	switch goos {
	case "windows":
		return []string{"notepad.exe", file}
	case "darwin":
		return []string{"open", "-t", file}
	}
	return []string{"xdg-open", file}
}
