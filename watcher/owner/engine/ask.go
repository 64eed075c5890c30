package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
)

// Limits for an engine's answer.
const (
	maxHeader     = 64 << 10
	maxAnswer     = 8 << 20
	maxContainers = 8192
	maxPorts      = 1 << 17 // of all containers; most are not published
	maxPublished  = 4096
	maxText       = 256
)

var (
	errForeign  = errors.New("the socket belongs to another user")
	errNotAList = errors.New("not a list of containers")
)

// ask returns one engine's published ports, and its containers without any. The error is in plain words.
func (e *Engines) ask(ctx context.Context, socket string) ([]Published, []Container, error) {
	if dormant(socket) {
		return nil, nil, explain(socket, ErrNotRunning)
	}
	resp, err := e.do(ctx, socket, http.MethodGet, "/containers/json")
	if err != nil {
		return nil, nil, explain(socket, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, explain(socket, statusError(resp))
	}
	published, others, err := decode(http.MaxBytesReader(nil, resp.Body, maxAnswer), socket)
	if err == nil {
		return e.joinPods(ctx, socket, published), others, nil
	}
	if ctx.Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF) { // otherwise the answer was cut off
		err = fmt.Errorf("%w: %w", errNotAList, err)
	}
	return nil, nil, explain(socket, err)
}

// do sends one request to the engine at socket, on its own connection. The connection ends with the answer's body. The
// path names no API version, so every engine uses its newest.
func (e *Engines) do(ctx context.Context, socket, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil) // engines accept any host
	if err != nil {
		return nil, err
	}
	// No http.Client, so no redirects.
	return e.transport(socket).RoundTrip(req)
}

// transport always connects to the engine at socket, for any host in a request, and through no proxy.
func (e *Engines) transport(socket string) *http.Transport {
	dial := e.dial
	if dial == nil {
		dial = dialSocket
	}
	return &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, socket) },
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
}

// A problem is an error in plain words that wraps its cause.
type problem struct {
	words string
	cause error
}

func (p *problem) Error() string { return p.words }
func (p *problem) Unwrap() error { return p.cause }

// explain returns err in plain words about the engine at socket.
func explain(socket string, err error) error {
	var words string
	switch {
	case errors.Is(err, fs.ErrPermission):
		words = "may not be asked by this user"
	case errors.Is(err, errForeign):
		words = "belongs to another user, so it is not asked"
	case errors.Is(err, errNotAList):
		words = "does not answer as expected"
	case errors.Is(err, ErrNotRunning), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		words, err = "is not running", errors.Join(ErrNotRunning, err)
	default:
		words = "does not answer"
	}
	return &problem{engineName(socket) + " " + words, err}
}

// statusError returns the error for an HTTP status. It includes the engine's message, which is untrusted text.
func statusError(resp *http.Response) error {
	var body struct {
		Message string `json:"message"`
	}
	_ = json.NewDecoder(io.LimitReader(resp.Body, maxHeader)).Decode(&body) // the message is optional
	cause := errNotAList
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		cause = fs.ErrPermission
	}
	return fmt.Errorf("status %d %q: %w", resp.StatusCode, clip(body.Message), cause)
}
