//go:build ignore

// Generate draws every raster form of icon.svg: the tray icons with their badges, or asking for attention, as PNG and ICO, the
// macOS templates and the application icon. It records the hashes of what it read and wrote in generated.sum.
//
// With -hicolor DIRECTORY it leaves all that alone and writes the application icon into that directory, in the sizes and places of
// the hicolor icon theme, for a package.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"image"
	"image/png"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/srwiley/oksvg"
	"github.com/srwiley/rasterx"
)

// units is the width and height of the view box of icon.svg. The badge is laid out in the same coordinates.
const units = 64

// icoSizes are the pixel sizes Windows may ask for in the notification area.
var icoSizes = []int{16, 20, 24, 32, 48, 64}

// hicolorSizes are the pixel sizes that desktops take from the hicolor theme: for menus, panels, docks, and stores.
var hicolorSizes = []int{16, 22, 24, 32, 48, 64, 128, 256}

// strokes draws each character of a badge on a grid 4 steps wide and 6 high (the plus is 3 wide), so that no font is needed.
var strokes = map[rune]string{
	'1': "M0.8 1.3 L2.8 0 V6",
	'2': "M0.1 1.8 A1.9 1.8 0 0 1 3.9 1.8 C3.9 3.3 1.1 4.6 0.1 6 H4",
	'3': "M0.2 0 H3.7 L2 2.3 A1.93 1.85 0 1 1 0 4.8",
	'4': "M3 6 V0 L0 4 H4",
	'5': "M3.7 0 H0.6 L0.4 2.7 A2 1.9 0 1 1 0 4.9",
	'6': "M3.1 0 L0.4 3.3 M2 2.2 A2 1.9 0 1 1 1.99 2.2 Z",
	'7': "M0 0 H4 L1.4 6",
	'8': "M2 0 A1.6 1.5 0 1 1 1.99 0 Z M2 3 A1.8 1.5 0 1 1 1.99 3 Z",
	'9': "M0.9 6 L3.6 2.7 M2 0 A2 1.9 0 1 1 1.99 0 Z",
	'+': "M0 3 H3 M1.5 1.5 V4.5",
}

func main() {
	log.SetFlags(0)
	theme := flag.String("hicolor", "", "write only the icons of the hicolor theme, into this `directory`")
	flag.Parse()
	work := generate
	if *theme != "" {
		work = func() error { return hicolor(*theme) }
	}
	if err := work(); err != nil {
		log.Fatalf("generate icons: %v", err)
	}
}

// generate works in the current directory, which go generate makes the one of this file.
func generate() error {
	svg, err := os.ReadFile("icon.svg")
	if err != nil {
		return err
	}
	source, err := os.ReadFile("generate.go")
	if err != nil {
		return err
	}
	made, err := rasters(string(svg))
	if err != nil {
		return err
	}
	for name, data := range made {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return err
		}
	}
	made["icon.svg"], made["generate.go"] = svg, source
	return os.WriteFile("generated.sum", sums(made), 0o644)
}

// rasters returns the contents of all generated images by file name.
func rasters(svg string) (map[string][]byte, error) {
	icon, err := parse(svg)
	if err != nil {
		return nil, fmt.Errorf("icon.svg: %w", err)
	}
	files := map[string][]byte{
		"icon.png":     pngFile(draw(icon, 512, rasterx.Identity)),
		"template.png": pngFile(template(icon[1:])),
	}
	if err := addAttention(files, icon[0]); err != nil {
		return nil, fmt.Errorf("attention: %w", err)
	}
	for n := range 11 {
		badge, err := parse(badgeSVG(n, icon[0]))
		if err != nil {
			return nil, fmt.Errorf("badge %d: %w", n, err)
		}
		shapes := slices.Concat(icon, badge)
		files[fmt.Sprintf("icon-%d.png", n)] = pngFile(draw(shapes, 64, rasterx.Identity))
		files[fmt.Sprintf("icon-%d.ico", n)] = icoFile(shapes)
	}
	return files, nil
}

// hicolor writes the application icon as SIZExSIZE/apps/porttray.png and scalable/apps/porttray.svg below directory, which need
// not exist. See https://specifications.freedesktop.org/icon-theme-spec/latest/.
func hicolor(directory string) error {
	svg, err := os.ReadFile("icon.svg")
	if err != nil {
		return err
	}
	icon, err := parse(string(svg))
	if err != nil {
		return fmt.Errorf("icon.svg: %w", err)
	}
	files := map[string][]byte{"scalable/apps/porttray.svg": svg}
	for _, size := range hicolorSizes {
		files[fmt.Sprintf("%dx%d/apps/porttray.png", size, size)] = pngFile(draw(icon, size, rasterx.Identity))
	}
	for name, data := range files {
		file := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// sums lists the files by name in the format of sha256sum.
func sums(files map[string][]byte) []byte {
	var list bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return list.Bytes()
}

// parse returns the shapes of an SVG document in drawing order.
func parse(svg string) ([]oksvg.SvgPath, error) {
	icon, err := oksvg.ReadIconStream(strings.NewReader(svg), oksvg.StrictErrorMode)
	if err != nil {
		return nil, err
	}
	return icon.SVGPaths, nil
}

// badgeSVG draws the number n in the lower right corner of the tile: nothing for 0, "9+" for 10. A step of the character grid
// is 4 units and the strokes run between the multiples of 4, so they fill whole pixels in an icon of 16 pixels.
func badgeSVG(n int, tile oksvg.SvgPath) string {
	text, left, textLeft := fmt.Sprint(n), 22, 34
	switch n {
	case 0:
		return "<svg></svg>"
	case 10:
		text, left, textLeft = "9+", 10, 18
	}
	const top, radius = 22, 14

	var svg strings.Builder
	svg.WriteString("<svg>")
	plate := func(inset int, fill string) {
		x, y, end, r := left+inset, top+inset, units-max(0, inset), radius-inset
		fmt.Fprintf(&svg, `<rect x="%d" y="%d" width="%d" height="%d" rx="%d" ry="%d" fill="%s"/>`, x, y, end-x, end-y, r, r, fill)
	}
	r, g, b, _ := tile.GetFillColor().RGBA()
	plate(-3, fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)) // keeps the white glyph off the light edge
	plate(0, "#e8eeee")
	plate(2, "#16191d")
	for _, char := range text {
		// oksvg takes scale(4) for scale(4 0).
		fmt.Fprintf(&svg, `<path transform="translate(%d 30) scale(4 4)" d="%s" fill="none" stroke="#ffffff" stroke-width="5.5" `+
			`stroke-linecap="round" stroke-linejoin="round"/>`, textLeft, strokes[char])
		textLeft += 24
	}
	svg.WriteString("</svg>")
	return svg.String()
}

// attention draws what takes the place of the glyph and the badge when something wants to be looked at. Its shape tells it from
// them without colour: a triangle that fills the tile, dark with a light edge, and as high an exclamation mark in it as fits.
// For the macOS template, where everything has one colour, that is an outline.
const (
	attention = `<svg>
<path d="M32 14 L53 51 H11 Z" fill="#e8eeee" stroke="#e8eeee" stroke-width="18" stroke-linejoin="round"/>
<path d="M32 14 L53 51 H11 Z" fill="#16191d" stroke="#16191d" stroke-width="13" stroke-linejoin="round"/>
<path d="M32 18 V36" fill="none" stroke="#ffffff" stroke-width="9" stroke-linecap="round"/>
<circle cx="32" cy="50" r="5" fill="#ffffff"/></svg>`
	attentionOutline = `<svg>
<path d="M32 9 L57 53 H7 Z" fill="none" stroke="#000000" stroke-width="5" stroke-linejoin="round"/>
<path d="M32 26 V37" fill="none" stroke="#000000" stroke-width="7" stroke-linecap="round"/>
<circle cx="32" cy="46" r="3.8" fill="#000000"/></svg>`
)

// addAttention adds the images that say that something wants to be looked at.
func addAttention(files map[string][]byte, tile oksvg.SvgPath) error {
	mark, err := parse(attention)
	if err != nil {
		return err
	}
	outline, err := parse(attentionOutline)
	if err != nil {
		return err
	}
	shapes := append([]oksvg.SvgPath{tile}, mark...)
	files["icon-attention.png"] = pngFile(draw(shapes, 64, rasterx.Identity))
	files["icon-attention.ico"] = icoFile(shapes)
	files["template-attention.png"] = pngFile(template(outline))
	return nil
}

// draw rasterises shapes at size by size pixels, after moving them by place.
func draw(shapes []oksvg.SvgPath, size int, place rasterx.Matrix2D) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	dasher := rasterx.NewDasher(size, size, rasterx.NewScannerGV(size, size, img, img.Bounds()))
	scale := float64(size) / units
	place = rasterx.Identity.Scale(scale, scale).Mult(place)
	for _, shape := range shapes {
		shape.LineWidth *= place.A // oksvg transforms a line, but not its width
		shape.DrawTransformed(dasher, 1, place)
	}
	return img
}

// template draws the glyph black and a little larger than on its tile, because the macOS menu bar brings its own background.
func template(glyph []oksvg.SvgPath) *image.RGBA {
	const middle = units / 2
	img := draw(glyph, 44, rasterx.Identity.Translate(middle, middle).Scale(1.12, 1.12).Translate(-middle, -middle))
	for i := range img.Pix {
		if i%4 != 3 { // all but alpha
			img.Pix[i] = 0
		}
	}
	return img
}

func pngFile(img image.Image) []byte {
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&file, img); err != nil {
		panic(err) // a buffer takes everything, and the sizes are ours
	}
	return file.Bytes()
}

// icoFile packs the shapes, drawn in every size of icoSizes, as PNG files into one ICO file: a header of 6 bytes, an entry of 16
// bytes for each picture, the pictures. See https://learn.microsoft.com/previous-versions/ms997538(v=msdn.10).
func icoFile(shapes []oksvg.SvgPath) []byte {
	le := binary.LittleEndian
	header := le.AppendUint16(nil, 0)   // reserved
	header = le.AppendUint16(header, 1) // an icon, not a cursor
	header = le.AppendUint16(header, uint16(len(icoSizes)))

	var pictures []byte
	for _, size := range icoSizes {
		picture := pngFile(draw(shapes, size, rasterx.Identity))
		header = append(header, byte(size), byte(size), 0, 0) // width, height, no palette, reserved
		header = le.AppendUint16(header, 1)                   // colour planes
		header = le.AppendUint16(header, 32)                  // bits a pixel
		header = le.AppendUint32(header, uint32(len(picture)))
		header = le.AppendUint32(header, uint32(6+16*len(icoSizes)+len(pictures)))
		pictures = append(pictures, picture...)
	}
	return append(header, pictures...)
}
