//go:build linux

package tray_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// layout is a menu entry on the bus; each child is a layout.
type layout struct {
	ID       int32
	Props    map[string]dbus.Variant
	Children []dbus.Variant
}

// A node is a menu entry, or the menu itself.
type node struct {
	id              int32
	label           string // as shown
	enabled         bool
	visible         bool
	separator       bool
	submenu         bool // shown with an arrow, even if there are no children
	toggle, checked bool
	children        []*node
}

func newNode(l layout, hidden bool) (*node, error) {
	n := &node{
		id: l.ID,
		// A double underscore is shown as one; a single one marks the key to press and is not shown.
		label:     strings.NewReplacer("__", "_", "_", "").Replace(value(l, "label", "")),
		enabled:   value(l, "enabled", true),
		visible:   value(l, "visible", true),
		separator: value(l, "type", "") == "separator",
		submenu:   value(l, "children-display", "") == "submenu",
		toggle:    value(l, "toggle-type", "") != "",
		checked:   value(l, "toggle-state", int32(0)) == 1,
	}
	for _, v := range l.Children {
		var l layout
		if err := v.Store(&l); err != nil {
			return nil, fmt.Errorf("child of menu entry %d: %w", n.id, err)
		}
		child, err := newNode(l, hidden)
		if err != nil {
			return nil, err
		}
		if child.visible || hidden {
			n.children = append(n.children, child)
		}
	}
	return n, nil
}

// value returns a property of a menu entry. If it was not sent, value returns unsent, the default of the protocol.
func value[T any](l layout, name string, unsent T) T {
	if v, ok := l.Props[name].Value().(T); ok {
		return v
	}
	return unsent
}

// stunted reports whether n or an entry below it has an empty submenu.
func (n *node) stunted() bool {
	return n.submenu && n.id != 0 && len(n.children) == 0 || slices.ContainsFunc(n.children, (*node).stunted)
}

// find follows labels down the menu and returns the entry at the end, nil if there is none. On each level it prefers
// the entry with exactly that label, then the first one with that prefix, then the first one that contains the label.
func (n *node) find(path ...string) *node {
	for _, label := range path {
		n = n.child(label)
	}
	return n
}

func (n *node) child(label string) *node {
	if n == nil {
		return nil
	}
	exactly := func(s, label string) bool { return s == label }
	for _, match := range []func(s, label string) bool{exactly, strings.HasPrefix, strings.Contains} {
		for _, c := range n.children {
			if !c.separator && match(c.label, label) {
				return c
			}
		}
	}
	return nil
}

// String returns the menu below n as indented text. A disabled entry is in parentheses. An arrow marks a submenu.
func (n *node) String() string {
	var b strings.Builder
	n.write(&b, "")
	return b.String()
}

func (n *node) write(b *strings.Builder, indent string) {
	if n == nil {
		return
	}
	for _, c := range n.children {
		b.WriteString(indent + c.line() + "\n")
		c.write(b, indent+"    ")
	}
}

func (n *node) line() string {
	if n.separator {
		return "─────"
	}
	line := n.label
	if n.toggle {
		line = "☐ " + line
	}
	if n.checked {
		line = "☑ " + n.label
	}
	if !n.enabled {
		line = "(" + line + ")"
	}
	if n.submenu {
		line += " ▸"
	}
	if !n.visible {
		line += " [hidden]"
	}
	return line
}

// rows returns the rows of the servers. The rows under More and Other come last.
func (n *node) rows() []*node {
	var rows []*node
	for _, c := range n.children {
		if regexp.MustCompile(`^\x{200e}?\d+  `).MatchString(c.label) {
			rows = append(rows, c)
		}
	}
	for _, c := range n.children {
		if strings.HasPrefix(c.label, "More (") || strings.HasPrefix(c.label, "Other (") {
			rows = append(rows, c.rows()...)
		}
	}
	return rows
}

// row returns the row of a port, nil if there is none.
func (n *node) row(port uint16) *node {
	for _, row := range n.rows() {
		if row.port() == port {
			return row
		}
	}
	return nil
}

// port returns the port of a row.
func (n *node) port() uint16 {
	port, _, _ := strings.Cut(strings.TrimPrefix(n.label, "\u200e"), " ")
	p, _ := strconv.ParseUint(port, 10, 16) // rows has checked the digits
	return uint16(p)
}
