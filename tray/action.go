package tray

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"golang.design/x/clipboard"

	"porttray/watcher"
)

// copyText puts text on the clipboard. On X and Wayland it is there for as long as this program runs, unless a clipboard manager keeps it.
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
