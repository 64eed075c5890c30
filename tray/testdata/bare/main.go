// Bare is the smallest program with porttray's three main dependencies: an idle icon with an empty menu. Tests compare
// the costs of porttray with it.
package main

import (
	"os"

	"fyne.io/systray"
	"github.com/gen2brain/beeep"
	gopsnet "github.com/shirou/gopsutil/v3/net"
	"github.com/shirou/gopsutil/v3/process"

	"porttray/assets"
)

func main() {
	if len(os.Args) > 1 { // never true, but the linker drops uncalled functions
		conns, _ := gopsnet.Connections("tcp")
		for _, c := range conns {
			p, _ := process.NewProcess(c.Pid)
			_ = beeep.Notify(p.String(), c.String(), "")
		}
	}
	systray.SetTitle("bare") // before Run: see tray.runSystray
	systray.SetIcon(assets.TrayIcon(0, false))
	systray.Run(nil, nil)
}
