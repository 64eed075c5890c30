package tray

import (
	"context"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"sync"

	"fyne.io/systray"

	"porttray/assets"
)

// systrayRoot is the top level of systray's one menu.
type systrayRoot struct{}

func (systrayRoot) Add(label string) item {
	return systrayItem{systray.AddMenuItem(escaped(label), "")}
}
func (systrayRoot) AddCheck(label string, checked bool) item {
	return systrayItem{systray.AddMenuItemCheckbox(escaped(label), "", checked)}
}
func (systrayRoot) AddSeparator() { systray.AddSeparator() }

// A systrayItem is one of its items.
type systrayItem struct{ *systray.MenuItem }

func (i systrayItem) Add(label string) item { return systrayItem{i.AddSubMenuItem(escaped(label), "")} }
func (i systrayItem) AddCheck(label string, checked bool) item {
	return systrayItem{i.AddSubMenuItemCheckbox(escaped(label), "", checked)}
}
func (i systrayItem) SetTitle(label string) { i.MenuItem.SetTitle(escaped(label)) }

// Forward has a goroutine wait for clicks, because systray drops those that nobody receives at that instant.
func (i systrayItem) Forward(to chan<- click, as click) (end func()) {
	return forwardClicks(i.ClickedCh, to, as)
}

// forwardClicks sends each of the clicks on, until end is called: what is clicked after that is left to whoever receives it next.
func forwardClicks(clicks <-chan struct{}, to chan<- click, as click) (end func()) {
	done, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-done:
				return
			case _, ok := <-clicks:
				if !ok { // removed
					return
				}
			}
			select {
			case to <- as:
			case <-done:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(done)
		<-gone
	})
}

func escaped(label string) string {
	return mnemonics(label, runtime.GOOS, os.Getenv("XDG_CURRENT_DESKTOP"))
}

// systrayFace is the icon with its badge and tooltip.
type systrayFace struct{}

// SetIcon puts the number of servers on the icon, on macOS beside it. With attention the icon also shows the alarm.
func (systrayFace) SetIcon(count int, attention bool) {
	// On Linux systray panics if the session has just ended, of which this program is about to hear.
	defer func() {
		if why := recover(); why != nil {
			slog.Info("the icon is no longer shown", "why", why)
		}
	}()
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

func (systrayFace) SetTooltip(text string) { systray.SetTooltip(text) }
func (systrayFace) Commit()                {} // systray has told the panel each change

// runSystray shows the tray until ctx is done. Once it is there, ready is called with the root of the menu; it must build the
// menu and return, because the menu is served only afterwards. drawn is closed when nobody draws any more, which the end waits
// for as long as exitLimit. runSystray blocks the main goroutine, as macOS demands.
func runSystray(ctx context.Context, v menu, ready func(root node, f face), opened chan<- struct{}, drawn <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go forwardOpened(ctx, opened)

	face := systrayFace{}
	dress := func() {
		face.SetIcon(v.count, v.attention)
		face.SetTooltip(v.tooltip)
	}
	early := runtime.GOOS != "windows" && runtime.GOOS != "darwin"
	if early {
		// Set later, they get lost in a race in some of all starts. The title becomes the name by which panels remember where
		// the icon belongs, so it never changes.
		systray.SetTitle("porttray")
		dress()
	}
	root, whole, built := ownMenu(systrayRoot{}, face, opened)
	persist(ctx, func(ready func()) {
		stop := context.AfterFunc(ctx, func() {
			atMost(exitLimit, func() { <-drawn })
			systray.Quit()
		})
		defer stop()
		systray.Run(ready, nil)
	}, func() {
		if !early {
			dress()
		}
		ready(root, whole)
		built()
	})
}

// forwardOpened passes on that the menu was opened. Systray tells only who receives at that instant.
func forwardOpened(ctx context.Context, opened chan<- struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-systray.TrayOpenedCh:
		}
		select {
		case opened <- struct{}{}:
		default: // one is waiting already
		}
	}
}
