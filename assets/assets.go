// Package assets holds the icons, embedded, and no logic. They are all drawn from icon.svg; after changing that or the
// program that draws, run go generate in this directory. It needs the network once, for the modules of
// ../.tools/go.mod.
package assets

import (
	"bytes"
	"embed"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"runtime"
)

//go:generate go run -modfile=../.tools/go.mod generate.go

// Each file holds the tray icon in one state, as PNG files of 16, 20, 22, 24, 32, 48 and 64 pixels in an ICO file.
//
//go:embed icon-*.ico
var icons embed.FS

//go:embed template.png
var template []byte

//go:embed template-alarm.png
var alarmTemplate []byte

// TrayIcon returns the tray icon with a badge for n servers: none for n <= 0, "9+" for n > 9. With alarm it also has
// the sign that asks people to look. It is an ICO file with pictures of 16 to 64 pixels on Windows, which accepts
// nothing else in its tray, and a PNG file of 64 by 64 pixels everywhere else.
func TrayIcon(n int, alarm bool) []byte {
	file := read(n, alarm)
	if runtime.GOOS == "windows" {
		return file
	}
	all := pictures(file)
	return all[len(all)-1]
}

// A Pixmap is one size of the tray icon, as IconPixmap of the StatusNotifierItem specification wants it: D-Bus (iiay).
// See https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/Icons/.
type Pixmap struct {
	Width, Height int32

	// Pixels holds the rows from top to bottom. Each pixel has four bytes: alpha, red, green, blue. The specification
	// does not say whether the colours are multiplied by alpha. Panels expect that they are not, so they are not.
	Pixels []byte
}

// Pixmaps returns the picture of TrayIcon in 16, 20, 22, 24, 32, 48 and 64 pixels, smallest first. It decodes them at
// each call, because the icon changes rarely and nobody should hold the memory between.
func Pixmaps(n int, alarm bool) []Pixmap {
	var list []Pixmap
	for _, file := range pictures(read(n, alarm)) {
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			panic(err) // a build with broken icons: the test decodes every one
		}
		rgba := img.(*image.NRGBA).Pix // not multiplied by alpha, as the file
		argb := make([]byte, len(rgba))
		for i := 0; i < len(rgba); i += 4 {
			argb[i], argb[i+1], argb[i+2], argb[i+3] = rgba[i+3], rgba[i], rgba[i+1], rgba[i+2]
		}
		list = append(list, Pixmap{int32(img.Bounds().Dx()), int32(img.Bounds().Dy()), argb})
	}
	return list
}

// read returns the ICO file for a state.
func read(n int, alarm bool) []byte {
	name := fmt.Sprint("icon-", min(max(n, 0), 10))
	if alarm {
		name += "-alarm"
	}
	file, err := icons.ReadFile(name + ".ico")
	if err != nil {
		panic(err) // a build without its icons: the test reads every one
	}
	return file
}

// pictures returns the PNG files in an ICO file. Generate.go tells how it is laid out.
func pictures(ico []byte) [][]byte {
	le := binary.LittleEndian
	list := make([][]byte, le.Uint16(ico[4:]))
	for i := range list {
		entry := ico[6+16*i:]
		length, offset := le.Uint32(entry[8:]), le.Uint32(entry[12:])
		list[i] = ico[offset:][:length:length]
	}
	return list
}

// TemplateIcon returns the icon for the macOS menu bar: a PNG file of 44 by 44 pixels with the glyph in black and alpha
// only, which the system colours to suit its background. The caller must not modify it.
func TemplateIcon() []byte { return template }

// AttentionTemplate returns TemplateIcon with the sign of the alarm. The caller must not modify it.
func AttentionTemplate() []byte { return alarmTemplate }
