package terminal

import (
	"context"
	"io"
)

// readerGone is described in reader_unix.go.
func readerGone(context.Context, io.Writer) error { return nil }
