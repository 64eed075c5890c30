// Package assets holds the icons, embedded, and no logic. They are all drawn from icon.svg; after changing that or the program
// that draws, run go generate in this directory. It needs the network once, for the modules of ../.tools/go.mod.
package assets

import (
	_ "embed"
	"fmt"
)

//go:generate go run -modfile=../.tools/go.mod generate.go

//go:embed template.png
var template []byte

//go:embed template-attention.png
var attentionTemplate []byte

// TrayIcon returns the tray icon with a badge for n listeners: none for n <= 0, "9+" for n > 9. It is an ICO file with pictures
// of 16 to 64 pixels on Windows, which accepts nothing else in its tray, and a PNG file of 64 by 64 pixels everywhere else.
func TrayIcon(n int) []byte {
	return read(fmt.Sprint("icon-", min(max(n, 0), 10)))
}

// AttentionIcon returns the tray icon that asks to be looked at, in the formats of TrayIcon. It has no badge.
func AttentionIcon() []byte { return read("icon-attention") }

func read(name string) []byte {
	icon, err := icons.ReadFile(name + extension)
	if err != nil {
		panic(err) // a build without its icons: the test reads every one
	}
	return icon
}

// TemplateIcon returns the icon for the macOS menu bar: a PNG file of 44 by 44 pixels with the glyph in black and alpha only,
// which the system colours to suit its background. The caller must not modify it.
func TemplateIcon() []byte { return template }

// AttentionTemplate returns what AttentionIcon is for the macOS menu bar, in the format of TemplateIcon.
func AttentionTemplate() []byte { return attentionTemplate }
