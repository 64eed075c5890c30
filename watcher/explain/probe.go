package explain

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"time"

	"porttray/watcher/owner"
)

// A Probe holds the answers of a server to a probe. All texts come from the server, shortened and without control
// characters.
type Probe struct {
	Address netip.AddrPort `json:"address"` // of the server
	// Unasked is the protocol of a server that is not for a browser. The probe sent nothing to it, because a database
	// would log an attack.
	Unasked string       `json:"unasked,omitempty"`
	TLS     *Certificate `json:"tls,omitempty"`
	HTTP    *Page        `json:"http,omitempty"`
	Banner  string       `json:"banner,omitempty"` // the first bytes of a server without TLS and HTTP
}

// silent reports whether the server answered nothing.
func (p Probe) silent() bool {
	return p.TLS == nil && p.HTTP == nil && p.Banner == "" && p.Unasked == ""
}

// A Certificate describes the certificate from a TLS handshake. It is not verified, because some systems ask the
// network for that.
type Certificate struct {
	Names      []string  `json:"names"`
	Issuer     string    `json:"issuer,omitempty"`
	Expires    time.Time `json:"expires"`
	SelfSigned bool      `json:"self_signed"`
}

// A Page describes the answer to the HTTP request GET /.
type Page struct {
	Status   string `json:"status"` // 200 OK
	Server   string `json:"server,omitempty"`
	Location string `json:"location,omitempty"` // the target of a redirect, which the probe does not follow
	Title    string `json:"title,omitempty"`
}

const (
	talkTimeout   = time.Second            // for a TLS handshake or an HTTP request
	bannerTimeout = 250 * time.Millisecond // for a server that speaks first: databases, mail, SSH

	maxPage   = 128 << 10 // bytes of an answer
	maxBanner = 128       // bytes of a banner
	maxText   = 100       // characters of any text
	maxNames  = 8
)

// probe talks to a server at an address in question, or else at any other address. It waits for a banner, then tries a
// TLS handshake and an HTTP request. If the server is not for a browser, it only waits for the banner.
func (a *Answer) probe(ctx context.Context) *Probe {
	var to netip.Addr
	for _, c := range a.Connects {
		if c.Result == Accepted && c.Listens && (!to.IsValid() || a.includes(c.Address) && !a.includes(to)) {
			to = c.Address
		}
	}
	if !to.IsValid() {
		return nil
	}
	at := netip.AddrPortFrom(to, a.Port.Number)
	for _, l := range a.servers {
		if !l.Web() && a.covers(l, to) {
			return &Probe{Address: at, Unasked: l.Speaks(), Banner: readBanner(ctx, at)}
		}
	}
	p := probeAt(ctx, at)
	return &p
}

func probeAt(ctx context.Context, to netip.AddrPort) Probe {
	p := Probe{Address: to}
	if p.Banner = readBanner(ctx, to); p.Banner != "" {
		return p
	}
	if p.TLS = handshake(ctx, to); p.TLS != nil {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: localhost, MinVersion: tls.VersionTLS10}
		p.HTTP, p.Banner = ask(ctx, to, func(c net.Conn) net.Conn { return tls.Client(c, config) })
		return p
	}
	p.HTTP, p.Banner = ask(ctx, to, func(c net.Conn) net.Conn { return c })
	return p
}

// dial connects. The limit covers the connection and everything sent over it.
func dial(ctx context.Context, to netip.AddrPort, limit time.Duration) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// readBanner returns the first bytes of a server that speaks first.
func readBanner(ctx context.Context, to netip.AddrPort) string {
	conn, err := dial(ctx, to, bannerTimeout)
	if err != nil {
		return ""
	}
	defer conn.Close()
	buf := make([]byte, maxBanner)
	n, _ := conn.Read(buf) // usually a timeout
	return printable(string(buf[:n]))
}

// handshake returns the unverified certificate of a server that speaks TLS.
func handshake(ctx context.Context, to netip.AddrPort) *Certificate {
	conn, err := dial(ctx, to, talkTimeout)
	if err != nil {
		return nil
	}
	defer conn.Close()
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: localhost,
		MinVersion: tls.VersionTLS10})
	if client.HandshakeContext(ctx) != nil {
		return nil
	}
	chain := client.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil
	}
	leaf := chain[0]
	c := &Certificate{Issuer: printable(leaf.Issuer.String()), Expires: leaf.NotAfter.UTC(),
		SelfSigned: bytes.Equal(leaf.RawSubject, leaf.RawIssuer)}
	for _, name := range leaf.DNSNames {
		c.Names = append(c.Names, printable(name))
	}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	if len(c.Names) == 0 {
		c.Names = []string{printable(leaf.Subject.CommonName)}
	}
	c.Names = c.Names[:min(len(c.Names), maxNames)]
	return c
}

// ask sends an HTTP request and returns the page. If the answer is not HTTP, ask returns its first bytes instead.
func ask(ctx context.Context, to netip.AddrPort, wrap func(net.Conn) net.Conn) (*Page, string) {
	raw, err := dial(ctx, to, talkTimeout)
	if err != nil {
		return nil, ""
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn := wrap(raw)
	// Development servers reject unknown hosts, but accept localhost.
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: porttray\r\n"+
		"Accept: text/html, */*\r\nConnection: close\r\n\r\n", to.Port())
	if err != nil {
		return nil, ""
	}
	in := bufio.NewReaderSize(io.LimitReader(conn, maxPage), maxPage)
	if first, _ := in.Peek(5); !bytes.Equal(first, []byte("HTTP/")) {
		first, _ = in.Peek(min(in.Buffered(), maxBanner))
		return nil, printable(string(first))
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, "invalid HTTP"
	}
	defer answer.Body.Close()
	page := &Page{
		Status: printable(answer.Status), Server: printable(answer.Header.Get("Server")),
		Location: printable(answer.Header.Get("Location")),
	}
	text, _ := io.ReadAll(answer.Body) // on an error, use the part read so far
	if m := title.FindSubmatch(text); m != nil {
		page.Title = printable(html.UnescapeString(string(m[1])))
	}
	return page, ""
}

// title finds the title of an HTML page.
var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title`)

// printable shortens a server's text and removes its control characters.
func printable(text string) string { return owner.Printable(text, maxText) }
