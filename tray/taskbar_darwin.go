package tray

import "context"

// persist is described in taskbar_windows.go. macOS always has a menu bar.
func persist(_ context.Context, run func(ready func()), ready func()) { run(ready) }
