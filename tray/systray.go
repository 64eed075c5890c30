//go:build !linux

package tray

import (
	"context"
	"runtime"
	"strconv"

	"fyne.io/systray"

	"porttray/assets"
	"porttray/watcher/owner"
)

// Systray shows the tray on Windows and macOS. On Linux the session does, see busicon_linux.go.

// systrayRoot is the top level of systray's one menu.
type systrayRoot struct{}

func (systrayRoot) Add(label string, k kind) item {
	switch k {
	case separator:
		systray.AddSeparator()
		return nil
	case check, radio:
		return systrayItem{systray.AddMenuItemCheckbox(escaped(label), "", false)}
	}
	return systrayItem{systray.AddMenuItem(escaped(label), "")}
}

// A systrayItem is an item of systray's menu.
type systrayItem struct{ *systray.MenuItem }

func (i systrayItem) Add(label string, k kind) item {
	switch k {
	case separator:
		i.AddSeparator()
		return nil
	case check, radio:
		return systrayItem{i.AddSubMenuItemCheckbox(escaped(label), "", false)}
	}
	return systrayItem{i.AddSubMenuItem(escaped(label), "")}
}
func (i systrayItem) SetTitle(label string) { i.MenuItem.SetTitle(escaped(label)) }

// Forward starts a goroutine that waits for clicks, because systray drops a click without a waiting receiver.
func (i systrayItem) Forward(to chan<- click, as click) (end func()) {
	return forwardClicks(i.ClickedCh, to, as)
}

// systrayFace is the icon with its badge and tooltip.
type systrayFace struct{}

// SetIcon shows the number of servers on the icon, or beside it on macOS. With attention the icon also shows the alarm.
func (systrayFace) SetIcon(count int, attention bool) {
	if runtime.GOOS != "darwin" {
		systray.SetIcon(assets.TrayIcon(count, attention))
		return
	}
	icon := assets.TemplateIcon()
	if attention {
		icon = assets.AttentionTemplate()
	}
	systray.SetTemplateIcon(icon, nil)
	title := ""
	if count > 0 {
		title = strconv.Itoa(count)
	}
	systray.SetTitle(title)
}

func (systrayFace) SetTooltip(text string) { systray.SetTooltip(owner.LeftToRight(text)) }
func (systrayFace) Commit()                {} // systray passes on each change at once

// runSystray is session.show for systray.
func runSystray(ctx context.Context, v menu, ready func(root node, f face), signs chan<- sign, drawn <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go forwardOpened(ctx, signs)
	persist(ctx, func(ready func()) {
		stop := context.AfterFunc(ctx, func() {
			atMost(exitLimit, func() { <-drawn })
			systray.Quit()
		})
		defer stop()
		systray.Run(ready, nil)
	}, func() {
		face := systrayFace{}
		face.SetIcon(v.count, v.attention)
		face.SetTooltip(v.tooltip)
		ready(systrayRoot{}, face)
	})
}

// forwardOpened sends menuShown when the menu is opened. Only macOS reports that, and systray drops it without a
// waiting receiver.
func forwardOpened(ctx context.Context, signs chan<- sign) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-systray.TrayOpenedCh:
		}
		select {
		case signs <- menuShown:
		default: // earlier ones are waiting
		}
	}
}
