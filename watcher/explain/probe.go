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

// A Probe is what a server says to somebody who talks to it. All texts are its own, without what cannot be shown, and shortened.
type Probe struct {
	Address netip.AddrPort `json:"address"` // that was talked to
	// Unasked is what listens there where that is known to be no web server. Nothing was sent to it: a database would log an
	// attack.
	Unasked string       `json:"unasked,omitempty"`
	TLS     *Certificate `json:"tls,omitempty"`
	HTTP    *Page        `json:"http,omitempty"`
	Banner  string       `json:"banner,omitempty"` // the first bytes of a server that speaks first, or neither
}

// silent reports whether the server was asked and said nothing at all.
func (p Probe) silent() bool {
	return p.TLS == nil && p.HTTP == nil && p.Banner == "" && p.Unasked == ""
}

// A Certificate is what a server shows in a TLS handshake. Whether somebody trusts it is not looked into: some systems ask the
// network for that.
type Certificate struct {
	Names      []string  `json:"names"`
	Issuer     string    `json:"issuer,omitempty"`
	Expires    time.Time `json:"expires"`
	SelfSigned bool      `json:"self_signed"`
}

// A Page is what a server answers to GET / of HTTP.
type Page struct {
	Status   string `json:"status"` // 200 OK
	Server   string `json:"server,omitempty"`
	Location string `json:"location,omitempty"` // where it sends the browser; nobody goes there
	Title    string `json:"title,omitempty"`
}

const (
	// eachTalk is how long each of three ways to talk to a server may take.
	eachTalk = time.Second
	// speaksFirst is how long a server has that says something before it is asked: databases, mail, SSH.
	speaksFirst = 250 * time.Millisecond

	maxPage   = 128 << 10 // bytes that are read of an answer
	maxBanner = 128       // bytes of a banner
	maxSaid   = 100       // characters of any text
	maxNames  = 8
)

// speak talks to what listens where was asked, or else wherever it does: first it is heard, then it gets a TLS handshake, and then an
// HTTP request. What is known not to be for a browser is only heard.
func (a *Answer) speak(ctx context.Context) *Probe {
	var to netip.Addr
	for _, c := range a.Connects {
		if c.Result == Accepted && c.Listens && (!to.IsValid() || a.asks(c.Address) && !a.asks(to)) {
			to = c.Address
		}
	}
	if !to.IsValid() {
		return nil
	}
	at := netip.AddrPortFrom(to, a.Port.Number)
	for _, l := range a.servers {
		if !l.Web() && a.covers(l, to) {
			return &Probe{Address: at, Unasked: l.Speaks(), Banner: hear(ctx, at)}
		}
	}
	p := speakTo(ctx, at)
	return &p
}

func speakTo(ctx context.Context, to netip.AddrPort) Probe {
	p := Probe{Address: to}
	if p.Banner = hear(ctx, to); p.Banner != "" {
		return p
	}
	if p.TLS = handshake(ctx, to); p.TLS != nil {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: localhost, MinVersion: tls.VersionTLS10} // as for the handshake
		p.HTTP, p.Banner = ask(ctx, to, func(c net.Conn) net.Conn { return tls.Client(c, config) })
		return p
	}
	p.HTTP, p.Banner = ask(ctx, to, func(c net.Conn) net.Conn { return c })
	return p
}

// dial connects for one talk.
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

// hear returns what a server says by itself.
func hear(ctx context.Context, to netip.AddrPort) string {
	conn, err := dial(ctx, to, speaksFirst)
	if err != nil {
		return ""
	}
	defer conn.Close()
	buf := make([]byte, maxBanner)
	n, _ := conn.Read(buf) // mostly the time is up
	return said(string(buf[:n]))
}

// handshake returns the certificate of a server that speaks TLS, whatever that is worth.
func handshake(ctx context.Context, to netip.AddrPort) *Certificate {
	conn, err := dial(ctx, to, eachTalk)
	if err != nil {
		return nil
	}
	defer conn.Close()
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: localhost, MinVersion: tls.VersionTLS10})
	if client.HandshakeContext(ctx) != nil {
		return nil
	}
	chain := client.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil
	}
	leaf := chain[0]
	c := &Certificate{Issuer: said(leaf.Issuer.String()), Expires: leaf.NotAfter.UTC(),
		SelfSigned: bytes.Equal(leaf.RawSubject, leaf.RawIssuer)}
	for _, name := range leaf.DNSNames {
		c.Names = append(c.Names, said(name))
	}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	if len(c.Names) == 0 {
		c.Names = []string{said(leaf.Subject.CommonName)}
	}
	c.Names = c.Names[:min(len(c.Names), maxNames)]
	return c
}

// ask sends an HTTP request and returns the answer, or the first bytes of what is none.
func ask(ctx context.Context, to netip.AddrPort, wrap func(net.Conn) net.Conn) (*Page, string) {
	raw, err := dial(ctx, to, eachTalk)
	if err != nil {
		return nil, ""
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn := wrap(raw)
	// Development servers turn away hosts that they do not know; localhost they do.
	_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: porttray\r\nAccept: text/html, */*\r\nConnection: close\r\n\r\n", to.Port())
	if err != nil {
		return nil, ""
	}
	in := bufio.NewReaderSize(io.LimitReader(conn, maxPage), maxPage)
	if first, _ := in.Peek(5); !bytes.Equal(first, []byte("HTTP/")) {
		first, _ = in.Peek(min(in.Buffered(), maxBanner))
		return nil, said(string(first))
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, "HTTP that makes no sense"
	}
	defer answer.Body.Close()
	page := &Page{Status: said(answer.Status), Server: said(answer.Header.Get("Server")), Location: said(answer.Header.Get("Location"))}
	text, _ := io.ReadAll(answer.Body) // as much as there is in time
	if m := title.FindSubmatch(text); m != nil {
		page.Title = said(html.UnescapeString(string(m[1])))
	}
	return page, ""
}

// title finds the title of an HTML page.
var title = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title`)

// said makes what a server says fit to show.
func said(text string) string { return owner.Printable(text, maxSaid) }
