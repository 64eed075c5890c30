package watcher

import "golang.org/x/sys/windows"

// wine reports whether the tests run under Wine (https://gitlab.winehq.org/wine/wine/-/wikis/Developer-FAQ), which keeps sockets in a
// process of its own and so lists listeners without their owners.
func wine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
