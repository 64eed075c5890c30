package tray

import (
	"context"
	"errors"
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
		beeep.AppName = "porttray"
		done <- beeep.Notify(defused(n.title, runtime.GOOS), defused(n.body, runtime.GOOS), "")
		<-b.busy
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// defused returns text without what beeep would let run or break something. On Windows it can end up in an expandable
// PowerShell string with XML in it, where $(…) and the backtick are code.
func defused(text, goos string) string {
	if goos != "windows" {
		return text
	}
	return strings.NewReplacer("$", "＄", "`", "'", "<", "‹", ">", "›", "&", "+", `"`, "'").Replace(text)
}
