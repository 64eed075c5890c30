package tray

import (
	"errors"
	"fmt"
	"sync"

	"github.com/godbus/dbus/v5"

	"porttray/assets"
	"porttray/watcher/owner"
)

const (
	// itemName is the interface of tray icons, see https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/.
	itemName = "org.kde.StatusNotifierItem"
	// itemPath is below the path of libayatana-appindicator. Cinnamon opens the menu by a left click only for such
	// items.
	itemPath       = "/org/ayatana/NotificationItem/porttray"
	menuPath       = itemPath + "/Menu"
	propertiesName = "org.freedesktop.DBus.Properties"
)

// A busIcon serves the tray's icon to panels on Linux. It has no Activate: KDE opens the menu when that is refused.
type busIcon struct {
	queue *busQueue

	mu      sync.Mutex // guards all fields below
	count   int
	alarm   bool
	tooltip string
	pixmaps []assets.Pixmap // of count and alarm; nil until somebody asks

	retitled bool // the title changed, and panels do not know it yet
}

func (b *busIcon) export() error {
	methods := map[string]any{"Get": b.answerOne, "GetAll": b.answerAll}
	return b.queue.conn.ExportMethodTable(methods, itemPath, propertiesName)
}

// answerOne is Get.
func (b *busIcon) answerOne(_, name string, call dbus.Message) *dbus.Error {
	return b.queue.answer(call, func(string) ([]any, *dbus.Error) {
		value, ok := b.properties()[name]
		if !ok {
			text := fmt.Sprintf("there is no property %.99q", name)
			return nil, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{text})
		}
		return []any{value}, nil
	})
}

// answerAll is GetAll.
func (b *busIcon) answerAll(_ string, call dbus.Message) *dbus.Error {
	return b.queue.answer(call, func(string) ([]any, *dbus.Error) { return []any{b.properties()}, nil })
}

// properties returns all properties. The alarm is in both icons, because not every panel acts on the status.
func (b *busIcon) properties() map[string]dbus.Variant {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pixmaps == nil {
		b.pixmaps = assets.Pixmaps(b.count, b.alarm)
	}
	attention, none := []assets.Pixmap{}, []assets.Pixmap{}
	if b.alarm {
		attention = b.pixmaps
	}
	type toolTip struct {
		IconName    string
		Icon        []assets.Pixmap
		Title, Text string
	}
	title := b.title()
	properties := map[string]dbus.Variant{}
	for name, value := range map[string]any{
		"Id":                      "porttray", // panels use it to remember the icon's position, and that it is hidden
		"Category":                "ApplicationStatus",
		"Status":                  b.status(),
		"Title":                   title,
		"WindowId":                int32(0),
		"IconThemePath":           "",
		"IconName":                "",
		"IconPixmap":              b.pixmaps,
		"IconAccessibleDesc":      title,
		"OverlayIconName":         "",
		"OverlayIconPixmap":       none,
		"AttentionIconName":       "",
		"AttentionIconPixmap":     attention,
		"AttentionMovieName":      "",
		"AttentionAccessibleDesc": title,
		"ToolTip":                 toolTip{"", none, b.tooltip, ""},
		"ItemIsMenu":              true,
		"Menu":                    dbus.ObjectPath(menuPath),
	} {
		properties[name] = dbus.MakeVariant(value)
	}
	return properties
}

// title returns the count and the alarm in words, for screen readers and for lists of icons.
func (b *busIcon) title() string {
	text := fmt.Sprintf("porttray, %d servers", b.count)
	if b.count == 1 {
		text = "porttray, 1 server"
	}
	if b.alarm {
		text += ", alarm"
	}
	return text
}

func (b *busIcon) status() string {
	if b.alarm {
		return "NeedsAttention"
	}
	return "Active"
}

// change calls do with the icon locked, and then sends the signals that do returns.
func (b *busIcon) change(do func() []string) {
	b.queue.turn.Lock()
	defer b.queue.turn.Unlock()
	b.mu.Lock()
	signals := do()
	status := b.status()
	b.mu.Unlock()
	for _, signal := range signals {
		if signal == "NewStatus" {
			b.queue.emit("", itemPath, itemName, signal, status)
		} else {
			b.queue.emit("", itemPath, itemName, signal)
		}
	}
}

func (b *busIcon) SetIcon(count int, alarm bool) {
	b.change(func() []string {
		signals := []string{"NewIcon"}
		if alarm {
			signals = append(signals, "NewAttentionIcon")
		}
		if alarm != b.alarm {
			signals = append(signals, "NewStatus")
		}
		b.count, b.alarm, b.pixmaps, b.retitled = count, alarm, nil, true
		return signals
	})
}

func (b *busIcon) SetTooltip(text string) {
	b.change(func() []string {
		b.tooltip = owner.LeftToRight(text)
		return []string{"NewToolTip"}
	})
}

// A busTray is the icon with its menu on the session bus.
type busTray struct {
	*busIcon
	*busMenu
}

// newBusTray serves the tray on a connection. Until show is called, panels wait for their answers.
func newBusTray(conn *dbus.Conn, signs chan<- sign) (busTray, error) {
	queue := newBusQueue(conn)
	t := busTray{&busIcon{queue: queue}, newBusMenu(queue, signs)}
	return t, errors.Join(t.busIcon.export(), t.busMenu.export())
}

// show begins to answer panels.
func (t busTray) show() {
	t.busMenu.commit()
	close(t.busMenu.queue.built)
}

// Commit tells panels of a changed menu and title. The title waits for Commit, because a panel may show a new one as a
// tooltip over an open menu.
func (t busTray) Commit() {
	t.busMenu.commit()
	t.busIcon.change(func() []string {
		if !t.retitled {
			return nil
		}
		t.retitled = false
		return []string{"NewTitle"}
	})
}
