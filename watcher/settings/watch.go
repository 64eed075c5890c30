package settings

import (
	"context"
	"os"
	"time"
)

// A Change holds the new settings, or the error of the file.
type Change struct {
	Settings
	Err error // an *Error; the settings are then the zero value
}

const (
	// every is the pause between two checks of a file. Watch checks it by name: it may be a link to the person's
	// dotfiles, and some editors replace the file. A check takes some microseconds.
	every = 1500 * time.Millisecond
	// settle is how long a file must stay the same before Watch reads it: some editors write it in parts.
	settle = 200 * time.Millisecond
)

// A version identifies one state of a file.
type version struct {
	there bool
	mode  os.FileMode
	size  int64
	at    time.Time
}

func versionOf(file string) version {
	info, err := os.Stat(file)
	if err != nil {
		return version{}
	}
	return version{true, info.Mode(), info.Size(), info.ModTime()}
}

// Watch reads a file at once, and again within two seconds of each change. It delivers each result until ctx is done.
func Watch(ctx context.Context, file string, changes chan<- Change) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		seen := versionOf(file)
		s, err := Read(file)
		select {
		case changes <- Change{s, err}:
		case <-ctx.Done():
			return
		}
		for versionOf(file) == seen {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
		for settled := false; !settled; {
			before := versionOf(file)
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				return
			}
			settled = versionOf(file) == before
		}
	}
}
