//go:build linux

package tray_test

import (
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A screen is an X server without a monitor.
type screen struct {
	*testDesktop
	file string // the screen as an X window dump
}

// startScreen starts an X server for all programs that d starts later.
func (d *testDesktop) startScreen(width, height int) *screen {
	d.t.Helper()
	dir := d.t.TempDir()
	x := d.start(tool(d.t, "Xvfb"), "-displayfd", "1", "-screen", "0", fmt.Sprintf("%dx%dx24", width, height),
		"-fbdir", dir, "-nolisten", "tcp")
	var display string
	if !poll(patience, func() bool {
		display = strings.TrimSpace(regexp.MustCompile(`(?m)^\d+\n`).FindString(x.output()))
		return display != "" || x.exited()
	}) || x.exited() {
		d.t.Fatal("the X server does not start")
	}
	d.setenv("DISPLAY", ":"+display)
	return &screen{d, filepath.Join(dir, "Xvfb_screen0")}
}

// picture returns the pixels of the screen.
func (s *screen) picture() *image.RGBA {
	s.t.Helper()
	dump, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	// XWDFileHeader in X11/XWDFile.h: numbers of four bytes, then a name. The first number is the size of both
	// together. Then come the colours of twelve bytes, then the pixels of four bytes: blue, green, red, unused.
	field := func(i int) int { return int(binary.BigEndian.Uint32(dump[4*i:])) }
	const size, width, height, stride, colours = 0, 4, 5, 12, 19
	pixels := dump[field(size)+12*field(colours):]
	p := image.NewRGBA(image.Rect(0, 0, field(width), field(height)))
	for y := range field(height) {
		for x := range field(width) {
			at := pixels[y*field(stride)+4*x:]
			p.SetRGBA(x, y, color.RGBA{at[2], at[1], at[0], 255})
		}
	}
	return p
}

// find searches a part of the screen for a colour, see findColour.
func (s *screen) find(c color.RGBA, part image.Rectangle) (found image.Rectangle, n int) {
	s.t.Helper()
	return findColour(s.picture(), c, part)
}

// findColour searches a part of a picture for pixels of about that colour. It returns their bounds and their number.
func findColour(p *image.RGBA, c color.RGBA, part image.Rectangle) (found image.Rectangle, n int) {
	near := func(a, b uint8) bool { return max(a, b)-min(a, b) < 16 }
	part = part.Intersect(p.Rect)
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if at := p.RGBAAt(x, y); near(at.R, c.R) && near(at.G, c.G) && near(at.B, c.B) {
				found = found.Union(image.Rect(x, y, x+1, y+1))
				n++
			}
		}
	}
	return found, n
}

// startPanel starts xfce4-panel at the upper edge of the screen. The panel has only the tray.
func (s *screen) startPanel() {
	s.t.Helper()
	panel := tool(s.t, "xfce4-panel")
	// A daemon holds its settings. The path depends on the architecture, so take it from the bus's service file.
	service, err := os.ReadFile("/usr/share/dbus-1/services/org.xfce.Xfconf.service")
	if err != nil {
		lack(s.t, err)
	}
	daemon := regexp.MustCompile(`(?m)^Exec=(.+)$`).FindSubmatch(service)
	if daemon == nil {
		s.t.Fatalf("no program in\n%s", service)
	}
	dir := filepath.Join(s.vars["XDG_CONFIG_HOME"], "xfce4/xfconf/xfce-perchannel-xml")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "xfce4-panel.xml"), []byte(panelSettings), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.setenv("NO_AT_BRIDGE", "1")
	s.start(string(daemon[1]))
	s.start(panel, "--disable-wm-check")
	if !poll(patience, func() bool { return s.picture().RGBAAt(400, panelHeight/2) != color.RGBA{A: 255} }) {
		s.t.Fatal("there is no panel")
	}
}

// panelHeight is the height of the panel in pixels.
const panelHeight = 32

const panelSettings = `<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="32"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty"><property name="plugin-1" type="string" value="systray"/></property>
</channel>
`
