package tray

import (
	"errors"
	"strings"

	"github.com/godbus/dbus/v5"
)

const (
	busPropertiesName = "org.freedesktop.DBus.Properties"
	// Where systray puts nothing.
	ownMenuPath = "/porttray/menu"
	ownItemPath = "/porttray/item"
)

// A busFace is systray's face beside a busMenu. It is changed while no panel gets its properties: systray's answers hold what it changes
// until they are sent.
type busFace struct {
	face
	menu *busMenu
}

func (f busFace) SetIcon(count int, attention bool) {
	f.menu.queue.turn.Lock()
	defer f.menu.queue.turn.Unlock()
	f.face.SetIcon(count, attention)
}

func (f busFace) SetTooltip(text string) {
	f.menu.queue.turn.Lock()
	defer f.menu.queue.turn.Unlock()
	f.face.SetTooltip(text)
}

func (f busFace) Commit() { f.menu.commit() }

// askPorttray has calls of systray's menu and for the properties of its item, as they arrive, be calls of porttray's. All have the
// same connection. Systray serves its menu at each path below its own, too, and has anyone set the icon and what leads to the menu.
func askPorttray(msg *dbus.Message) {
	if msg.Type != dbus.TypeMethodCall {
		return
	}
	path, _ := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	of, method := msg.Headers[dbus.FieldInterface].Value(), msg.Headers[dbus.FieldMember].Value()
	ofMenu, ofProperties := of == busMenuName || of == nil, of == busPropertiesName || of == nil
	switch {
	case ofMenu && (path == busMenuPath || strings.HasPrefix(string(path), busMenuPath+"/")):
		msg.Headers[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath(ownMenuPath))
		if method == "GetLayout" || method == "GetGroupProperties" {
			takeOver(msg)
		}
	case ofProperties && path == itemPath && (method == "Get" || method == "GetAll"):
		msg.Headers[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath(ownItemPath))
		takeOver(msg)
	case ofProperties && (path == itemPath || path == busMenuPath) && method == "Set":
		msg.Headers[dbus.FieldPath] = dbus.MakeVariant(dbus.ObjectPath(ownItemPath)) // where nothing can be set
	}
}

// exportItem serves the properties of systray's item.
func (m *busMenu) exportItem(conn *dbus.Conn) error {
	return conn.ExportMethodTable(map[string]any{
		"Get": func(of, name string, call dbus.Message) *dbus.Error {
			return m.answerProperty(call, "Get", &of, &name)
		},
		"GetAll": func(of string, call dbus.Message) *dbus.Error {
			return m.answerProperty(call, "GetAll", &of)
		},
	}, ownItemPath, busPropertiesName)
}

// answerProperty answers a call as systray does.
func (m *busMenu) answerProperty(call dbus.Message, method string, args ...any) *dbus.Error {
	return m.answer(call, func(string) ([]any, *dbus.Error) {
		item, _ := sharedObjects.LookupObject(itemPath) // there always is one
		properties, ok := item.LookupInterface(busPropertiesName)
		if !ok {
			return nil, &dbus.ErrMsgUnknownInterface // systray has not put its item there as yet
		}
		get, _ := properties.LookupMethod(method)
		body, err := get.Call(args...)
		if refusal, ok := errors.AsType[*dbus.Error](err); ok {
			return nil, refusal
		}
		return body, nil
	})
}
