package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"porttray/watcher/owner"
)

// A Question is an address and a port to be explained.
type Question struct {
	Name string // the host by name, if it was given by one
	// Addrs are the addresses that were asked about, several for a name. Without any, the port alone was.
	Addrs []netip.Addr
	Port  uint16
}

// String returns what was asked about: "127.0.0.1:62893", "localhost:3000", "port 5432".
func (q Question) String() string {
	number := strconv.Itoa(int(q.Port))
	switch {
	case q.Name != "":
		return q.Name + ":" + number
	case len(q.Addrs) == 0:
		return "port " + number
	case len(q.Addrs) > 1:
		return "*:" + number
	}
	return netip.AddrPortFrom(q.Addrs[0], q.Port).String()
}

// ErrPort says what a port is.
var ErrPort = errors.New("a port is a number from 1 to 65535")

// ParsePort reads a port. The error is in plain words.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, ErrPort
	}
	return uint16(n), nil
}

// Parse reads what a person has at hand: a port, alone or behind a colon, an address or a name with a port, or a URL. The error is in
// plain words. Only names that this computer itself knows are known here: nothing is asked of the network.
func Parse(ctx context.Context, s string) (Question, error) {
	host, number, err := split(strings.TrimSpace(s))
	if err != nil { // what is pasted may hold anything, and a terminal is to show it
		return Question{}, errors.New(owner.Printable(err.Error(), 0))
	}
	if host != owner.Printable(host, 0) { // a URL may hold anything, too, and the zone of an address
		return Question{}, errNoAddress
	}
	p, err := ParsePort(number)
	if err != nil {
		return Question{}, err
	}
	q := Question{Port: p}
	if host == "" {
		return q, nil
	}
	if host == "*" { // as netstat and ss write it
		q.Addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
		return q, nil
	}
	host = strings.TrimSuffix(host, ".") // the root of all names
	if addr, err := netip.ParseAddr(host); err == nil {
		q.Addrs = []netip.Addr{addr.Unmap()}
		return q, nil
	}
	q.Name = strings.ToLower(host)
	q.Addrs = resolve(ctx, q.Name)
	if len(q.Addrs) == 0 {
		return Question{}, fmt.Errorf("%q is not a name of this computer; give an address and a port, such as 127.0.0.1:%d", host, p)
	}
	return q, nil
}

var errNoAddress = errors.New("not an address with a port; one looks like 127.0.0.1:3000 or [::1]:3000")

// split returns the host, which may be empty, and the port in what a person typed.
func split(s string) (host, number string, err error) {
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			return "", "", errors.New("not a URL; one looks like http://localhost:3000")
		}
		return u.Hostname(), cmp.Or(u.Port(), map[string]string{"https": "443", "wss": "443"}[u.Scheme], "80"), nil
	}
	s, _, _ = strings.Cut(s, "/") // localhost:3000/admin, 3000/tcp
	if !strings.Contains(s, ":") {
		if _, err := netip.ParseAddr(s); err == nil || s != "" && strings.Trim(s, "0123456789+-") != "" {
			return "", "", fmt.Errorf("a port is missing; give it behind a colon: %s:3000", s)
		}
		return "", s, nil
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		example := fmt.Sprintf("[%s]:3000", addr)
		last := strings.LastIndexByte(s, ':')
		if front, err := netip.ParseAddr(s[:last]); err == nil { // probably it is that
			example = fmt.Sprintf("[%s]:%s", front, s[last+1:])
		}
		return "", "", fmt.Errorf("a port is missing; an IPv6 address with one looks like %s", example)
	}
	host, number, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", errNoAddress
	}
	return host, number, nil
}

// resolve returns the addresses of a name, in the order in which programs try them, as far as this computer knows it by itself:
// from its list of hosts, and because localhost and names below it always are loopback (RFC 6761, section 6.3).
func resolve(ctx context.Context, name string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errNetwork }}
	if runtime.GOOS == "windows" && name == localhost {
		resolver = net.DefaultResolver // Windows answers for localhost itself, and has it in no file
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", name)
	if err == nil {
		return unmapped(addrs)
	}
	if name == localhost || strings.HasSuffix(name, "."+localhost) {
		return []netip.Addr{v6Loopback, v4Loopback}
	}
	if host, err := os.Hostname(); err == nil && strings.EqualFold(host, name) {
		return ownAddrs()
	}
	return nil
}

var errNetwork = errors.New("the network is not asked")

const localhost = "localhost"

var (
	v4Loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	v6Loopback = netip.IPv6Loopback()
)

func unmapped(addrs []netip.Addr) []netip.Addr {
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs
}

// ownAddrs returns the addresses of this computer's interfaces, without loopback and link-local ones.
func ownAddrs() []netip.Addr {
	var own []netip.Addr
	for _, i := range interfaces() {
		if !i.Address.IsLinkLocalUnicast() {
			own = append(own, i.Address)
		}
	}
	return own
}

// An Interface is one address of this computer, and the interface that has it.
type Interface struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"` // a link-local one of IPv6 with its zone
}

// interfaces returns the addresses by which this computer can be reached from others: those of its interfaces that are up, without
// loopback. It is empty when the system does not tell.
func interfaces() []Interface {
	up, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var found []Interface
	for _, i := range up {
		addrs, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 {
			continue
		}
		for _, a := range addrs {
			prefix, err := netip.ParsePrefix(a.String())
			addr := prefix.Addr().Unmap()
			if addr.Is6() && addr.IsLinkLocalUnicast() {
				addr = addr.WithZone(i.Name)
			}
			if err == nil && (addr.IsGlobalUnicast() || addr.IsLinkLocalUnicast()) {
				found = append(found, Interface{i.Name, addr})
			}
		}
	}
	return found
}
