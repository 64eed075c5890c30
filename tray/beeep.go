package tray

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"

	"github.com/gen2brain/beeep"
)

// A beeepSender sends notices the portable way. beeep can block for ever and cannot be cancelled. While one call hangs,
// send makes no other.
type beeepSender struct{ busy chan struct{} }

func newBeeepSender() beeepSender { return beeepSender{make(chan struct{}, 1)} }

func (b beeepSender) send(ctx context.Context, n notice) error {
	select {
	case b.busy <- struct{}{}:
	default:
		return errors.New("send a notification: the one before is still hanging")
	}
	done := make(chan error, 1)
	go func() {
		done <- sendPlain(n)
		<-b.busy
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendPlain shows a notice without actions. Windows has its own way, and other systems use beeep.
func sendPlain(n notice) error {
	if err := popUp(n); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	beeep.AppName = "porttray"
	return beeep.Notify(n.title, n.body, "")
}

// toastXML returns a notice as Windows wants it, see
// https://learn.microsoft.com/uwp/schemas/tiles/toastschema/root-elements. A click opens the server without this
// program, so the URL is always http. A TLS probe in advance would be a connection that the server does not expect.
func toastXML(n notice) string {
	const layout = `<toast%s duration="short"><visual><binding template="ToastGeneric">` +
		`<text>%s</text><text>%s</text></binding></visual><audio silent="true"/>%s</toast>`
	escape := func(text string) string {
		var b strings.Builder
		_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
		return b.String()
	}
	var launch, actions string
	if n.open {
		url := fmt.Sprintf("http://localhost:%d", n.id.Port)
		launch = fmt.Sprintf(` activationType="protocol" launch="%s"`, url)
		const button = `<actions><action activationType="protocol" content="Open" arguments="%s"/></actions>`
		actions = fmt.Sprintf(button, url)
	}
	return fmt.Sprintf(layout, launch, escape(n.title), escape(n.body), actions)
}
