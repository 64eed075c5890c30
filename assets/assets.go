// Package assets holds the embedded icons. They are all drawn from icon.svg. After a change of icon.svg or generate.go,
// run go generate in this directory. It needs the network once, for the modules of ../.tools/go.mod.
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

// icons holds an ICO file per state of the tray icon, with PNG files of 16, 20, 22, 24, 32, 48 and 64 pixels.
//
//go:embed icon-*.ico
var icons embed.FS

//go:embed template.png
var template []byte

//go:embed template-alarm.png
var alarmTemplate []byte

// TrayIcon returns the tray icon with a badge for n servers: none for n <= 0, "9+" for n > 9. With alarm it also has a
// warning sign. On Windows it is an ICO file with pictures of 16 to 64 pixels, the only format that the tray accepts.
// On other systems it is a PNG file of 64 by 64 pixels.
func TrayIcon(n int, alarm bool) []byte {
	file := read(n, alarm)
	if runtime.GOOS == "windows" {
		return file
	}
	all := pictures(file)
	return all[len(all)-1]
}

// A Pixmap is one size of the tray icon in the format of IconPixmap of the StatusNotifierItem specification: D-Bus
// (iiay). See https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/Icons/.
type Pixmap struct {
	Width, Height int32

	// Pixels holds the rows from top to bottom, with four bytes per pixel: alpha, red, green, blue. The colours are not
	// multiplied by alpha. The specification leaves that open, but panels expect it.
	Pixels []byte
}

// Pixmaps returns the picture of TrayIcon in 16, 20, 22, 24, 32, 48 and 64 pixels, smallest first. Each call decodes
// them: the icon changes rarely, so caching would waste memory.
func Pixmaps(n int, alarm bool) []Pixmap {
	var list []Pixmap
	for _, file := range pictures(read(n, alarm)) {
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			panic(err) // a build with broken icons; the test decodes every icon
		}
		rgba := img.(*image.NRGBA).Pix // not multiplied by alpha, like the file
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
		panic(err) // a build without its icons; the test reads every icon
	}
	return file
}

// pictures returns the PNG files in an ICO file. See icoFile in generate.go for the format.
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

// TemplateIcon returns the icon for the macOS menu bar: a PNG file of 44 by 44 pixels with the glyph in black and
// alpha. The system colours it to suit its background. The caller must not modify it.
func TemplateIcon() []byte { return template }

// AttentionTemplate returns TemplateIcon with the alarm sign. The caller must not modify it.
func AttentionTemplate() []byte { return alarmTemplate }
