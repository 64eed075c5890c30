package settings

import (
	"context"
	"os"
	"time"
)

// A Change is what a file holds now, or what is wrong with it.
type Change struct {
	Settings
	Err error // an *Error; the settings are then the zero value
}

const (
	// every is how often a file is looked at: by its name, because it may be a link to where people keep such files, and because
	// editors put another file in its place. A look takes some microseconds.
	every = 1500 * time.Millisecond
	// settle is how long a file must stay as it is before it is read: some editors write it in parts.
	settle = 200 * time.Millisecond
)

// A look is what tells one state of a file from another.
type look struct {
	there bool
	mode  os.FileMode
	size  int64
	at    time.Time
}

func lookAt(file string) look {
	info, err := os.Stat(file)
	if err != nil {
		return look{}
	}
	return look{true, info.Mode(), info.Size(), info.ModTime()}
}

// Watch reads a file at once, and again within two seconds of each change, and delivers what it holds until ctx is done.
func Watch(ctx context.Context, file string, changes chan<- Change) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		seen := lookAt(file)
		s, err := Read(file)
		select {
		case changes <- Change{s, err}:
		case <-ctx.Done():
			return
		}
		for lookAt(file) == seen {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
		for settled := false; !settled; {
			before := lookAt(file)
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				return
			}
			settled = lookAt(file) == before
		}
	}
}
