package terminal

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"porttray/watcher/explain"
	"porttray/watcher/owner"
)

// narrowest is the minimum width of a table column.
const narrowest = 4

// A column of the table of listeners.
type column struct {
	head  string
	cell  func(l explain.Listener, now time.Time) string
	fixed bool // never shortened
	how   func(l explain.Listener) string
}

var columns = []column{
	{head: "PORT", fixed: true, cell: portCell,
		how: func(explain.Listener) string { return bold }},
	{head: "PROJECT", cell: func(l explain.Listener, _ time.Time) string { return projectOf(l) }},
	{head: "TOOL", cell: func(l explain.Listener, _ time.Time) string { return toolOf(l) }},
	{head: "PROCESS", cell: func(l explain.Listener, _ time.Time) string { return processOf(l) }},
	{head: "PID", fixed: true, cell: func(l explain.Listener, _ time.Time) string {
		if l.PID == 0 {
			return ""
		}
		return fmt.Sprint(l.PID)
	}},
	{head: "ADDRESS", cell: func(l explain.Listener, _ time.Time) string {
		return explain.JoinAddrs(l.Addresses, ",")
	}},
	{head: "EXPOSURE", fixed: true, cell: func(l explain.Listener, _ time.Time) string { return exposure(l) },
		how: func(l explain.Listener) string {
			if dangerous(l) {
				return red
			}
			return ""
		}},
	{head: "SINCE", fixed: true, cell: func(l explain.Listener, now time.Time) string {
		return sinceText(l.Started, now)
	}},
}

// portCell returns the port, and the number of further ports.
func portCell(l explain.Listener, _ time.Time) string {
	if len(l.Further) == 0 {
		return fmt.Sprint(l.Port)
	}
	return fmt.Sprintf("%d +%d", l.Port, len(l.Further))
}

// projectOf returns the label, the container or the project of a listener.
func projectOf(l explain.Listener) string {
	switch {
	case l.Label != "":
		return clean(l.Label)
	case l.Container != "":
		return clean(l.Container)
	}
	return clean(cmp.Or(l.Place, l.Project))
}

// toolOf returns the tool or program as the menu names it, and the role of the port. A program that equals the process
// is left out.
func toolOf(l explain.Listener) string {
	tool := cmp.Or(l.Runs, l.Tool)
	if l.Tool == "" && tool == l.Process {
		tool = ""
	}
	if l.Role != "" {
		tool = strings.TrimSpace(tool + " (" + l.Role + ")")
	}
	return clean(tool)
}

// processOf returns the name of the process, or its user if only that is known.
func processOf(l explain.Listener) string {
	if l.Process == "" && l.PID == 0 && l.User != "" {
		return "of " + clean(l.User)
	}
	return clean(l.Process)
}

// exposure says whether the network can reach any port of the server. An exclamation mark means danger.
func exposure(l explain.Listener) string {
	switch {
	case dangerous(l):
		return "network!"
	case l.Exposed, slices.ContainsFunc(l.Further, func(f explain.Further) bool { return f.Exposed }):
		return "network"
	}
	return "local"
}

// dangerous reports whether a port of the server is open to the network although it should not be.
func dangerous(l explain.Listener) bool {
	return l.Exposed && (l.Risk != "" || l.Widened) ||
		slices.ContainsFunc(l.Further, func(f explain.Further) bool { return f.Risk != "" })
}

// sinceText returns a start time: the clock time today, else the date.
func sinceText(t, now time.Time) string {
	switch y, m, d := t.Date(); {
	case t.IsZero():
		return ""
	case y != now.Year():
		return t.Format("2 Jan 2006")
	case m != now.Month() || d != now.Day():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("15:04")
}

// table returns the listeners as an aligned table. It cuts the widest columns to fit the width of the style.
func table(list []explain.Listener, s style, now time.Time) []byte {
	rows := make([][]string, 0, len(list))
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = len(c.head)
	}
	for _, l := range list {
		row := make([]string, len(columns))
		for i, c := range columns {
			row[i] = dash(c.cell(l, now))
			widths[i] = max(widths[i], cellWidth(row[i]))
		}
		rows = append(rows, row)
	}
	fit(widths, s.width)
	var b bytes.Buffer
	for i, c := range columns {
		writeCell(&b, i, c.head, widths, s, faint)
	}
	for n, row := range rows {
		for i, c := range columns {
			how := ""
			if c.how != nil {
				how = c.how(list[n])
			}
			writeCell(&b, i, row[i], widths, s, how)
		}
	}
	return b.Bytes()
}

// writeCell writes the cell in column i, and a line end after the last column.
func writeCell(b *bytes.Buffer, i int, text string, widths []int, s style, how string) {
	const gap = "  "
	text = cut(text, widths[i])
	b.WriteString(s.paint(leftToRight(text), how))
	if i == len(widths)-1 {
		b.WriteByte('\n')
		return
	}
	b.WriteString(strings.Repeat(" ", widths[i]-cellWidth(text)) + gap)
}

// fit narrows the widest columns until the table fits into width. No column becomes smaller than narrowest.
func fit(widths []int, width int) {
	const gap = 2
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	for ; width > 0 && total > width; total-- {
		widest := -1
		for i, w := range widths {
			if !columns[i].fixed && w > narrowest && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

// shortDir returns a clean directory name, with ~ for the home directory.
func shortDir(dir string) string { return clean(owner.ShortDir(dir)) }
