//go:build ignore

// Generate draws every raster form of icon.svg: the tray icons with their badges and the alarm, the macOS templates and
// the application icon. It records the hashes of its input and output files in generated.sum.
//
// With -hicolor DIRECTORY it only writes the application icon into that directory, in the layout of the hicolor icon
// theme, for a package.
package main

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"log"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/srwiley/oksvg"
	"github.com/srwiley/rasterx"
)

// units is the width and height of the view box of icon.svg.
const units = 64

// glyphMargin is the free space between the glyph and each edge of the view box.
const glyphMargin = 8

// traySizes are the sizes in pixels that panels and the Windows notification area request. Some panels shrink the
// largest picture to 16 pixels, so the signs have about the same share in every size.
var traySizes = []int{16, 20, 22, 24, 32, 48, 64}

// hicolorSizes are the sizes in pixels that desktops take from the hicolor theme, for menus, panels, docks and stores.
var hicolorSizes = []int{16, 22, 24, 32, 48, 64, 128, 256}

// These are the colours of the signs. The badge is white on dark and the alarm dark on light, to differ without colour.
const (
	dark  = "#16191d"
	white = "#ffffff"
	amber = "#ffb300"
)

// strokes draws each character of a badge on a grid of 4 by 6 steps (3 by 6 for the plus), for 32 pixels and more.
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

// pixelFonts draws the characters of a badge pixel by pixel at small sizes. Soft edges would make them hard to read
// there.
var pixelFonts = map[int]map[rune]string{
	16: {
		'1': ".#. ##. .#. .#. .#. .#.",
		'2': "###. ...# ..#. .#.. #... ####",
		'3': "###. ...# .##. ...# ...# ###.",
		'4': "..#. .##. #.#. #### ..#. ..#.",
		'5': "#### #... ###. ...# ...# ###.",
		'6': ".##. #... ###. #..# #..# .##.",
		'7': "#### ...# ..#. ..#. .#.. .#..",
		'8': ".##. #..# .##. #..# #..# .##.",
		'9': ".##. #..# #..# .### ...# .##.",
		'+': "... .#. ### .#. ... ...",
	},
	20: {
		'1': ".## ### .## .## .## .## .##",
		'2': "####. ...## ...## .###. ##... ##... #####",
		'3': "####. ...## ...## .###. ...## ...## ####.",
		'4': "##.## ##.## ##.## ##### ...## ...## ...##",
		'5': "##### ##... ####. ...## ...## ...## ####.",
		'6': ".###. ##... ##... ####. ##.## ##.## .###.",
		'7': "##### ...## ...## ..##. ..##. .##.. .##..",
		'8': ".###. ##.## ##.## .###. ##.## ##.## .###.",
		'9': ".###. ##.## ##.## .#### ...## ...## .###.",
		'+': "..... ..#.. ..#.. ##### ..#.. ..#.. .....",
	},
	22: largeFont,
	24: largeFont,
}

// largeFont is for 22 and 24 pixels.
var largeFont = map[rune]string{
	'1': "..## .### #### ..## ..## ..## ..## ..##",
	'2': ".####. ##..## ....## ...##. ..##.. .##... ##.... ######",
	'3': ".####. ##..## ....## ..###. ....## ....## ##..## .####.",
	'4': "...##. ..###. .####. ##.##. ##.##. ###### ...##. ...##.",
	'5': "###### ##.... #####. ....## ....## ....## ##..## .####.",
	'6': "..###. .##... ##.... #####. ##..## ##..## ##..## .####.",
	'7': "###### ....## ....## ...##. ...##. ..##.. ..##.. ..##..",
	'8': ".####. ##..## ##..## .####. ##..## ##..## ##..## .####.",
	'9': ".####. ##..## ##..## ##..## .##### ....## ...##. .###..",
	'+': "..... ..... ..#.. ..#.. ##### ..#.. ..#.. .....",
}

// An alarm is a disc with an exclamation mark. It replaces the dot of the glyph in the upper left corner. A gap in the
// tile around the disc makes the alarm visible in the outline, too. All boxes are in pixels.
type alarm struct {
	disc, stem, dot box
	gap             float64 // between the disc and the rest of the tile
}

// alarms holds the small sizes, with whole pixels only, and 32. Larger sizes are multiples of 32.
var alarms = map[int]alarm{
	16: {disc: box{0, 0, 8, 8, 4}, stem: box{3, 1, 2, 4, 0}, dot: box{3, 6, 2, 1, 0}, gap: 1},
	20: {disc: box{0, 0, 10, 10, 5}, stem: box{4, 1, 2, 5, 0}, dot: box{4, 7, 2, 2, 0}, gap: 1},
	22: {disc: box{0, 0, 10, 10, 5}, stem: box{4, 1, 2, 5, 0}, dot: box{4, 7, 2, 2, 0}, gap: 1},
	24: {disc: box{0, 0, 12, 12, 6}, stem: box{5, 2, 2, 5, 0}, dot: box{5, 8, 2, 2, 0}, gap: 1},
	32: {disc: box{0, 0, 16, 16, 8}, stem: box{6.2, 2.6, 3.6, 6.8, 1.8}, dot: box{6.2, 10.2, 3.6, 3.6, 1.8}, gap: 2},
}

// A box is a rectangle with round corners.
type box struct{ x, y, width, height, radius float64 }

// path returns the outline in SVG syntax.
func (b box) path() string {
	r, right, bottom := b.radius, b.x+b.width, b.y+b.height
	arc := func(x, y float64) string { return fmt.Sprintf("A%g %g 0 0 1 %g %g", r, r, x, y) }
	return fmt.Sprintf("M%g %gH%g%sV%g%sH%g%sV%g%sZ", b.x+r, b.y, right-r, arc(right, b.y+r), bottom-r,
		arc(right-r, bottom), b.x+r, arc(b.x, bottom-r), b.y+r, arc(b.x+r, b.y))
}

// scaled returns the box with its size and position multiplied by k.
func (b box) scaled(k float64) box {
	return box{k * b.x, k * b.y, k * b.width, k * b.height, k * b.radius}
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

// generate works in the current directory. With go generate that is the directory of this file.
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
	files := map[string][]byte{"icon.png": pngFile(straight(drawIcon(icon, 512)))}
	for _, alarm := range []bool{false, true} {
		for n := range 11 {
			var pictures []*image.NRGBA
			for _, size := range traySizes {
				picture, err := trayIcon(icon, size, n, alarm)
				if err != nil {
					return nil, fmt.Errorf("%d servers, alarm %v, %d pixels: %w", n, alarm, size, err)
				}
				pictures = append(pictures, picture)
			}
			files[fmt.Sprint("icon-", n, suffix(alarm), ".ico")] = icoFile(pictures)
		}
		picture, err := template(icon[1:], alarm)
		if err != nil {
			return nil, fmt.Errorf("template, alarm %v: %w", alarm, err)
		}
		files["template"+suffix(alarm)+".png"] = pngFile(picture)
	}
	return files, nil
}

// suffix returns the end of the file names for alarm.
func suffix(alarm bool) string {
	if alarm {
		return "-alarm"
	}
	return ""
}

// hicolor writes the application icon as SIZExSIZE/apps/porttray.png and scalable/apps/porttray.svg below directory.
// The directory need not exist. See https://specifications.freedesktop.org/icon-theme-spec/latest/.
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
		files[fmt.Sprintf("%dx%d/apps/porttray.png", size, size)] = pngFile(straight(drawIcon(icon, size)))
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

// trayIcon draws the icon with the badge for n servers and, if alarming, the alarm.
func trayIcon(icon []oksvg.SvgPath, size, n int, alarming bool) (*image.NRGBA, error) {
	img := drawIcon(icon, size)
	var err error
	if alarming {
		a := alarmFor(size)
		sign := fill(amber, a.disc) + fill(dark, a.stem, a.dot)
		err = errors.Join(erase(img, fill(white, a.cut())), paintSVG(img, sign))
	}
	if n > 0 {
		err = errors.Join(err, paintSVG(img, badge(size, strings.Replace(fmt.Sprint(n), "10", "9+", 1))))
	}
	return straight(img), err
}

// template draws the glyph for the macOS menu bar, which requires black and alpha only and adds its own background. The
// glyph is a little larger than on its tile. The exclamation mark of the alarm is a hole.
func template(glyph []oksvg.SvgPath, alarming bool) (*image.NRGBA, error) {
	const size, margin = 44, 3
	img := newCanvas(size)
	paint(img, glyph, fit(size, glyphMargin, margin))
	var err error
	if alarming {
		a := alarmFor(size)
		err = errors.Join(erase(img, fill(white, a.cut())), paintSVG(img, fill(white, a.disc)),
			erase(img, fill(white, a.stem, a.dot)))
	}
	for i := range img.Pix {
		if i%8 < 6 { // all but alpha
			img.Pix[i] = 0
		}
	}
	return straight(img), err
}

// badge returns the shapes of a text on a plate in the lower right corner, in pixels.
func badge(size int, text string) string {
	chars, width, height := pixelText(size, text)
	if chars == "" {
		chars, width, height = strokedText(size, text)
	}
	margin, radius := math.Round(float64(size)/16), float64(size)/8
	right := float64(size)
	plate := box{right - width - 2*margin, right - height - 2*margin, width + 2*margin, height + 2*margin, radius}
	left, top := plate.x+margin, plate.y+margin
	return fill(dark, plate) + fmt.Sprintf(`<g transform="translate(%g %g)">%s</g>`, left, top, chars)
}

// pixelText returns the shapes of a text in the pixel font of that size, with their width and height. The width is at
// least that of the widest digit. A size without a pixel font has no shapes.
func pixelText(size int, text string) (shapes string, width, height float64) {
	font := pixelFonts[size]
	if font == nil {
		return "", 0, 0
	}
	rows := func(char rune) []string { return strings.Fields(font[char]) }
	var path strings.Builder
	end := 0
	for _, char := range text {
		for y, row := range rows(char) {
			for x, pixel := range row {
				if pixel == '#' {
					fmt.Fprintf(&path, "M%d %dh1v1h-1z", end+x, y)
				}
			}
		}
		end += len(rows(char)[0]) + 1
	}
	end--
	widest := len(rows('8')[0])
	left := max(0, widest-end) / 2
	shapes = fmt.Sprintf(`<path transform="translate(%d 0)" d="%s" fill="%s"/>`, left, path.String(), white)
	return shapes, float64(max(widest, end)), float64(len(rows('8')))
}

// strokedText is pixelText with smooth lines, for the larger sizes.
func strokedText(size int, text string) (shapes string, width, height float64) {
	k := float64(size) / 32
	stroke, gap := 2.7*k, 1*k
	height = 12 * k
	for _, char := range text {
		steps, charWidth := 4.0, 9*k
		if char == '+' {
			steps, charWidth = 3, 7*k
		}
		// oksvg scales a line, but not its width.
		shapes += fmt.Sprintf(`<path transform="translate(%g %g) scale(%g %g)" d="%s" `,
			width+stroke/2, stroke/2, (charWidth-stroke)/steps, (height-stroke)/6, strokes[char])
		shapes += fmt.Sprintf(`fill="none" stroke="%s" stroke-width="%g" `, white, stroke) +
			`stroke-linecap="round" stroke-linejoin="round"/>`
		width += charWidth + gap
	}
	return shapes, width - gap, height
}

// alarmFor returns the alarm of a size.
func alarmFor(size int) alarm {
	if a, ok := alarms[size]; ok {
		return a
	}
	a, k := alarms[32], float64(size)/32
	return alarm{a.disc.scaled(k), a.stem.scaled(k), a.dot.scaled(k), k * a.gap}
}

// cut returns the hole in the tile.
func (a alarm) cut() box {
	d, g := a.disc, a.gap
	return box{d.x - g, d.y - g, d.width + 2*g, d.height + 2*g, d.radius + g}
}

// fill returns boxes as shapes of one colour.
func fill(colour string, boxes ...box) string {
	var shapes strings.Builder
	for _, b := range boxes {
		fmt.Fprintf(&shapes, `<path d="%s" fill="%s"/>`, b.path(), colour)
	}
	return shapes.String()
}

// fit scales the view box of icon.svg to size pixels. The margin becomes a whole number of pixels.
func fit(size int, margin, pixels float64) rasterx.Matrix2D {
	scale := (float64(size) - 2*pixels) / (units - 2*margin)
	return rasterx.Identity.Translate(pixels-margin*scale, pixels-margin*scale).Scale(scale, scale)
}

// drawIcon draws the icon without signs. The edges of the glyph lie between pixels, so they are crisp.
func drawIcon(icon []oksvg.SvgPath, size int) *image.RGBA64 {
	img := newCanvas(size)
	paint(img, icon[:1], fit(size, 0, 0))
	paint(img, icon[1:], fit(size, glyphMargin, math.RoundToEven(float64(glyphMargin*size)/units)))
	return img
}

// newCanvas returns an empty picture. It has 16 bits per colour, so that faint edges keep their colour.
func newCanvas(size int) *image.RGBA64 { return image.NewRGBA64(image.Rect(0, 0, size, size)) }

// paint draws shapes, transformed by place.
func paint(img *image.RGBA64, shapes []oksvg.SvgPath, place rasterx.Matrix2D) {
	size := img.Rect.Dx()
	dasher := rasterx.NewDasher(size, size, rasterx.NewScannerGV(size, size, img, img.Rect))
	for _, shape := range shapes {
		shape.LineWidth *= place.A // oksvg transforms a line, but not its width
		shape.DrawTransformed(dasher, 1, place)
	}
}

// paintSVG draws shapes in pixel coordinates.
func paintSVG(img *image.RGBA64, shapes string) error {
	parsed, err := parse("<svg>" + shapes + "</svg>")
	if err == nil {
		paint(img, parsed, rasterx.Identity)
	}
	return err
}

// erase makes the picture transparent inside shapes, in pixel coordinates.
func erase(img *image.RGBA64, shapes string) error {
	hole := newCanvas(img.Rect.Dx())
	if err := paintSVG(hole, shapes); err != nil {
		return err
	}
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			keep := math.MaxUint16 - uint32(hole.RGBA64At(x, y).A)
			part := func(v uint16) uint16 { return uint16(uint32(v) * keep / math.MaxUint16) }
			c := img.RGBA64At(x, y)
			img.SetRGBA64(x, y, color.RGBA64{part(c.R), part(c.G), part(c.B), part(c.A)})
		}
	}
	return nil
}

// straight returns the picture with 8 bits per colour, not multiplied by alpha.
func straight(img *image.RGBA64) *image.NRGBA {
	out := image.NewNRGBA(img.Rect)
	draw.Draw(out, out.Rect, img, image.Point{}, draw.Src)
	return out
}

// pngFile encodes a picture as a PNG file with 8 bits for each colour and alpha. The rows are not filtered. That makes
// flat pictures a third smaller than those of image/png. See https://www.w3.org/TR/png-3/.
func pngFile(img *image.NRGBA) []byte {
	var rows bytes.Buffer
	w, err := zlib.NewWriterLevel(&rows, zlib.BestCompression)
	for y := range img.Rect.Dy() {
		row := img.Pix[y*img.Stride:][:4*img.Rect.Dx()]
		_, werr := w.Write(append([]byte{0}, row...))
		err = errors.Join(err, werr)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err) // a buffer takes everything, and the level is known
	}

	be := binary.BigEndian
	file := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(name string, data []byte) {
		file = be.AppendUint32(file, uint32(len(data)))
		body := append([]byte(name), data...)
		file = be.AppendUint32(append(file, body...), crc32.ChecksumIEEE(body))
	}
	header := be.AppendUint32(nil, uint32(img.Rect.Dx()))
	header = be.AppendUint32(header, uint32(img.Rect.Dy()))
	chunk("IHDR", append(header, 8, 6, 0, 0, 0)) // bits, colour and alpha, deflate, the filters of PNG, not interlaced
	chunk("IDAT", rows.Bytes())
	chunk("IEND", nil)
	return file
}

// icoFile packs pictures as PNG files into one ICO file: a header of 6 bytes, an entry of 16 bytes per picture, and the
// pictures. See https://learn.microsoft.com/previous-versions/ms997538(v=msdn.10).
func icoFile(pictures []*image.NRGBA) []byte {
	le := binary.LittleEndian
	header := le.AppendUint16(nil, 0)   // reserved
	header = le.AppendUint16(header, 1) // an icon, not a cursor
	header = le.AppendUint16(header, uint16(len(pictures)))

	var files []byte
	for _, picture := range pictures {
		file, size := pngFile(picture), picture.Rect.Dx()
		header = append(header, byte(size), byte(size), 0, 0) // width, height, no palette, reserved
		header = le.AppendUint16(header, 1)                   // colour planes
		header = le.AppendUint16(header, 32)                  // bits per pixel
		header = le.AppendUint32(header, uint32(len(file)))
		header = le.AppendUint32(header, uint32(6+16*len(pictures)+len(files)))
		files = append(files, file...)
	}
	return append(header, files...)
}
