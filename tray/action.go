package tray

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.design/x/clipboard"

	"porttray/watcher/server"
)

// copyText puts text on the clipboard. On X and Wayland the text is lost when this program exits, unless a clipboard
// manager keeps it.
func copyText(ctx context.Context, text string) error {
	if err := clipboard.Init(); err != nil {
		return errors.New("reach the clipboard: this session has none that can be used")
	}
	if _, err := clipboard.Write(ctx, clipboard.FmtText, []byte(text)); err != nil {
		return fmt.Errorf("write to the clipboard: %w", err)
	}
	return nil
}

// networkAddress returns an address for other machines to reach l. It prefers IPv4. For a wildcard bind it uses the
// first address of this computer that is not loopback.
func networkAddress(l server.Listener) (netip.Addr, error) {
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
