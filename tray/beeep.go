package tray

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/gen2brain/beeep"
)

// A beeepSender sends notices the portable way. beeep can block for ever, and cannot be told to stop; while one call hangs, no
// other is made.
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
		done <- plainly(n)
		<-b.busy
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// plainly shows a notice the portable way, which cannot carry actions; where Windows can, it shows one that does.
func plainly(n notice) error {
	if n.open && toast(toastXML(n)) == nil {
		return nil
	}
	beeep.AppName = "porttray"
	return beeep.Notify(defused(n.title, runtime.GOOS), defused(n.body, runtime.GOOS), "")
}

// toastXML returns a notice as Windows wants it, see https://learn.microsoft.com/uwp/schemas/tiles/toastschema/root-elements. A
// click on it or its button opens the server without this program, so whether that speaks TLS cannot be found out then; and
// to try before, with nobody asking, would be a connection that the server does not expect.
func toastXML(n notice) string {
	const layout = `<toast activationType="protocol" launch="%[1]s" duration="short">` +
		`<visual><binding template="ToastGeneric"><text>%[2]s</text><text>%[3]s</text></binding></visual><audio silent="true"/>` +
		`<actions><action activationType="protocol" content="Open" arguments="%[1]s"/></actions></toast>`
	escape := func(text string) string {
		var b strings.Builder
		_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
		return b.String()
	}
	return fmt.Sprintf(layout, fmt.Sprintf("http://localhost:%d", n.id.Port), escape(n.title), escape(n.body))
}

// defused returns text without what beeep would let run or break something. On Windows it can end up in an expandable
// PowerShell string with XML in it, where $(…) and the backtick are code.
func defused(text, goos string) string {
	if goos != "windows" {
		return text
	}
	return strings.NewReplacer("$", "＄", "`", "'", "<", "‹", ">", "›", "&", "+", `"`, "'").Replace(text)
}
