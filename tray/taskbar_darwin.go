package tray

import "context"

// persist is described in taskbar_windows.go. Here run waits for the tray itself, or there is always one.
func persist(_ context.Context, run func(ready func()), ready func()) { run(ready) }
