package watcher

import "golang.org/x/sys/windows"

// wine reports whether the tests run under Wine (https://gitlab.winehq.org/wine/wine/-/wikis/Developer-FAQ). Wine keeps
// sockets in its own process, so listeners have no owners.
func wine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
