// Package browser opens a listener in the person's browser. It finds the address for the browser, whether the server
// speaks TLS, and the system's command to open a URL.
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

	"porttray/watcher/server"
)

// Address returns the host and the port to open for l, without a scheme: "localhost:5432". It names localhost rather
// than 127.0.0.1, because development certificates and cookies are issued for that name. If localhost does not reach
// the listener, Address uses its IP address.
func Address(l server.Listener) string {
	if at := address(l); !l.Wildcard() && at != netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
		return AddressAt(at, l.Port)
	}
	return fmt.Sprintf("localhost:%d", l.Port)
}

// address returns the IP address for l on this computer: a loopback address if l has one.
func address(l server.Listener) netip.Addr {
	if at := l.Loopback(); at.IsValid() || len(l.Addrs) == 0 {
		return at
	}
	return l.Addrs[0]
}

// URLAt returns the URL of a port at an IP address.
func URLAt(at netip.Addr, port uint16, scheme string) string {
	return scheme + "://" + AddressAt(at, port)
}

// AddressAt returns the IP address and the port without a scheme: "[::1]:5432".
func AddressAt(at netip.Addr, port uint16) string { return netip.AddrPortFrom(at, port).String() }

// Scheme finds out whether the server behind l speaks TLS and returns "https" or "http". It makes one attempt of at
// most 300 ms. It accepts any certificate: the browser checks it later. It does not connect to a server that no browser
// can use.
func Scheme(ctx context.Context, l server.Listener) string {
	if !l.Web() {
		return "http"
	}
	at := netip.AddrPortFrom(address(l), l.Port)
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	config := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS10}
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err == nil {
		conn.Close()
		return "https"
	}
	// An alert is a TLS answer. For example, the server requires a client certificate.
	var alert tls.AlertError
	var op *net.OpError
	if errors.As(err, &alert) || errors.As(err, &op) && op.Op == "remote error" {
		return "https"
	}
	return "http"
}

// Open opens a URL in the browser and waits at most 5 seconds for an error. The opener may run as long as the browser,
// so it must outlive this program. Open accepts only URLs of localhost or an IP address with a port.
func Open(ctx context.Context, at string) error {
	if !opens(at) {
		return fmt.Errorf("open the browser: %q is not the address of a server on this computer", at)
	}
	if err := start(ctx, command(runtime.GOOS, at)); err != nil {
		return fmt.Errorf("open the browser: %w", err)
	}
	return nil
}

// opens reports whether a URL is http or https, to a port of localhost or of an IP address. The system could also open
// a file, a program, or a page with a password in its address.
func opens(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Port() == "" {
		return false
	}
	_, err = netip.ParseAddr(u.Hostname())
	return err == nil || u.Hostname() == "localhost"
}

// Edit opens a file in the desktop's program for text files, and waits like Open.
func Edit(ctx context.Context, file string) error {
	if err := start(ctx, editor(runtime.GOOS, file)); err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	return nil
}

// start runs an opener and waits at most 5 seconds for an error.
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

// command returns a system's command to open a URL in the person's browser.
func command(goos, url string) []string {
	switch goos {
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler", url}
	case "darwin":
		return []string{"open", url}
	}
	return []string{"xdg-open", url}
}

// editor returns a system's command to open a text file. Windows names the editor: it may have no program for the
// extension.
func editor(goos, file string) []string {
	switch goos {
	case "windows":
		return []string{"notepad.exe", file}
	case "darwin":
		return []string{"open", "-t", file}
	}
	return []string{"xdg-open", file}
}
