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

// A Question is an address and a port to explain.
type Question struct {
	name string // the host name, if the person gave one
	// Addrs are the addresses in question. A name may have several. It is empty for a port alone.
	Addrs []netip.Addr
	Port  uint16
}

// String returns the question as text: "127.0.0.1:62893", "localhost:3000", "port 5432".
func (q Question) String() string {
	number := strconv.Itoa(int(q.Port))
	switch {
	case q.name != "":
		return q.name + ":" + number
	case len(q.Addrs) == 0:
		return "port " + number
	case len(q.Addrs) > 1:
		return "*:" + number
	}
	return netip.AddrPortFrom(q.Addrs[0], q.Port).String()
}

// ErrPort reports an invalid port number.
var ErrPort = errors.New("a port is a number from 1 to 65535")

// ParsePort parses a port. Its error is plain text for people.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, ErrPort
	}
	return uint16(n), nil
}

// Parse parses a port with or without a leading colon, an address or name with a port, or a URL. Its error is plain
// text for people. Parse resolves only names of this computer, and asks no name server.
func Parse(ctx context.Context, s string) (Question, error) {
	host, number, err := split(strings.TrimSpace(s))
	if err != nil { // it may quote control characters from s
		return Question{}, errors.New(owner.Printable(err.Error(), 0))
	}
	if host != owner.Printable(host, 0) { // the host of a URL and the zone of an address may hold any character
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
	q.name = strings.ToLower(host)
	q.Addrs = resolve(ctx, q.name)
	if len(q.Addrs) == 0 {
		return Question{}, fmt.Errorf("%q is not a name of this computer; "+
			"give an address and a port, such as 127.0.0.1:%d", host, p)
	}
	return q, nil
}

var errNoAddress = errors.New("not an address with a port, such as 127.0.0.1:3000 or [::1]:3000")

// split splits the input of a person into host and port. The host may be empty.
func split(s string) (host, number string, err error) {
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			return "", "", errors.New("not a URL, such as http://localhost:3000")
		}
		return u.Hostname(), cmp.Or(u.Port(), map[string]string{"https": "443", "wss": "443"}[u.Scheme], "80"), nil
	}
	s, _, _ = strings.Cut(s, "/") // localhost:3000/admin, 3000/tcp
	if !strings.Contains(s, ":") {
		if _, err := netip.ParseAddr(s); err == nil || s != "" && strings.Trim(s, "0123456789+-") != "" {
			return "", "", fmt.Errorf("the port is missing; add it after a colon: %s:3000", s)
		}
		return "", s, nil
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		example := fmt.Sprintf("[%s]:3000", addr)
		last := strings.LastIndexByte(s, ':')
		if front, err := netip.ParseAddr(s[:last]); err == nil { // the last part is probably the port
			example = fmt.Sprintf("[%s]:%s", front, s[last+1:])
		}
		return "", "", fmt.Errorf("the port is missing; write an IPv6 address with a port as %s", example)
	}
	host, number, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", errNoAddress
	}
	return host, number, nil
}

// resolve returns the addresses of a name, in the order that programs try. It uses only this computer's hosts file and
// host name. The name localhost and names below it are always loopback (RFC 6761, section 6.3).
func resolve(ctx context.Context, name string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	noDial := func(context.Context, string, string) (net.Conn, error) { return nil, errNetwork }
	resolver := &net.Resolver{PreferGo: true, Dial: noDial}
	if runtime.GOOS == "windows" && name == localhost {
		resolver = net.DefaultResolver // Windows resolves localhost itself, without a hosts file
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

// An Interface is one address of this computer, and the name of its interface.
type Interface struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"` // with a zone if it is IPv6 link-local
}

// interfaces returns the addresses of all interfaces that are up, without loopback. It returns nothing if the system
// does not list its interfaces.
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
