package assets

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var sizes = []int{16, 20, 22, 24, 32, 48, 64}

// A state is a combination of a count and the alarm.
type state struct {
	n     int
	alarm bool
}

func (s state) String() string { return fmt.Sprintf("%d servers, alarm %v", s.n, s.alarm) }

// states returns all states, those without alarm first.
func states() []state {
	var list []state
	for _, alarm := range []bool{false, true} {
		for n := range 11 {
			list = append(list, state{n, alarm})
		}
	}
	return list
}

func TestTrayIcon(t *testing.T) {
	for _, s := range states() {
		icon := TrayIcon(s.n, s.alarm)
		if runtime.GOOS == "windows" {
			if want := read(s.n, s.alarm); !bytes.Equal(icon, want) {
				t.Errorf("%v: not the ICO file", s)
			}
			continue
		}
		img := decode(t, s.String(), icon)
		if got, want := img.Rect.Size(), image.Pt(64, 64); got != want {
			t.Errorf("%v: the size is %v, want %v", s, got, want)
		}
	}
}

// TestCounts checks that the counts 0 to 10 look different, and that other counts look like the nearest of them.
func TestCounts(t *testing.T) {
	for _, alarm := range []bool{false, true} {
		for at, size := range sizes {
			seen := make(map[string]int)
			for n := range 11 {
				pixels := string(Pixmaps(n, alarm)[at].Pixels)
				if other, ok := seen[pixels]; ok {
					t.Errorf("alarm %v, %d pixels: %d and %d servers look the same", alarm, size, other, n)
				}
				seen[pixels] = n
			}
		}
		for n, same := range map[int]int{-1: 0, math.MinInt: 0, 11: 10, math.MaxInt: 10} {
			if !bytes.Equal(TrayIcon(n, alarm), TrayIcon(same, alarm)) {
				t.Errorf("alarm %v: TrayIcon(%d) and TrayIcon(%d) differ", alarm, n, same)
			}
		}
	}
}

func TestPixmaps(t *testing.T) {
	for _, s := range states() {
		var got []int
		for _, p := range Pixmaps(s.n, s.alarm) {
			if p.Width != p.Height || len(p.Pixels) != int(4*p.Width*p.Height) {
				t.Errorf("%v: %d by %d pixels in %d bytes", s, p.Width, p.Height, len(p.Pixels))
			}
			got = append(got, int(p.Width))
		}
		if !slices.Equal(got, sizes) {
			t.Errorf("%v: the sizes are %v, want %v", s, got, sizes)
		}
	}
}

// TestPixelOrder compares the bytes of a pixmap with the colours of its file.
func TestPixelOrder(t *testing.T) {
	for i, file := range pictures(read(3, true)) {
		img, p := decode(t, "icon-3-alarm.ico", file), Pixmaps(3, true)[i]
		for at := range img.Rect.Dx() * img.Rect.Dy() {
			c := img.NRGBAAt(at%img.Rect.Dx(), at/img.Rect.Dx())
			if got, want := p.Pixels[4*at:][:4], []byte{c.A, c.R, c.G, c.B}; !bytes.Equal(got, want) {
				t.Fatalf("%d pixels: pixel %d is %v, want %v", p.Width, at, got, want)
			}
		}
	}
}

// These are the colours of the icon. Soft edges contain dark only in the badge.
var (
	tile  = color.NRGBA{0x0d, 0x85, 0x77, 255}
	dark  = color.NRGBA{0x16, 0x19, 0x1d, 255}
	white = color.NRGBA{255, 255, 255, 255}
	amber = color.NRGBA{0xff, 0xb3, 0, 255}
)

// TestColours checks that each pixel is a colour of the palette or a mixture of two, even if it is transparent. A
// colour multiplied by alpha would be too dark.
func TestColours(t *testing.T) {
	for _, s := range states() {
		for at, size := range sizes {
			img := pixmap(s, at)
			soft := 0
			for i := range size * size {
				c := img.NRGBAAt(i%size, i/size)
				if c.A == 0 {
					continue
				}
				// At the corners of the badge three colours meet.
				palette, most := []color.NRGBA{tile, white, amber, dark}, 32.0
				if c.A < 255 {
					soft++
					if most = 4; s.n == 0 {
						palette = palette[:3]
					}
				}
				if off := mixtureError(c, palette); off > most {
					t.Fatalf("%v, %d pixels: %d,%d is %v, %.0f away from the palette", s, size, i%size, i/size, c, off)
				}
			}
			if soft == 0 {
				t.Errorf("%v, %d pixels: no soft edges", s, size)
			}
		}
	}
}

// mixtureError returns the distance of a colour from the nearest mixture of two palette colours, without alpha.
func mixtureError(c color.NRGBA, palette []color.NRGBA) float64 {
	least := math.Inf(1)
	for i, a := range palette {
		for _, b := range palette[i+1:] {
			for step := range 65 {
				mix := func(x, y uint8) uint8 { return uint8((int(x)*(64-step) + int(y)*step + 32) / 64) }
				least = min(least, distance(c, color.NRGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), c.A}))
			}
		}
	}
	return least
}

func distance(a, b color.NRGBA) float64 {
	r, g, bl := float64(a.R)-float64(b.R), float64(a.G)-float64(b.G), float64(a.B)-float64(b.B)
	return math.Sqrt(r*r + g*g + bl*bl)
}

// TestAlarmNeedsNoColour checks that people without colour vision see the alarm: by lightness on dark and light panels,
// and by the outline alone. It must change a twentieth of the icon, a disc of a quarter of its width.
func TestAlarmNeedsNoColour(t *testing.T) {
	views := map[string]func(color.NRGBA) float64{
		"lightness on a dark panel":  func(c color.NRGBA) float64 { return lightness(c, 0x20) },
		"lightness on a light panel": func(c color.NRGBA) float64 { return lightness(c, 0xf2) },
		"alpha":                      func(c color.NRGBA) float64 { return float64(c.A) },
	}
	for name, view := range views {
		for at, size := range sizes {
			for n := range 11 {
				calm, alarm := pixmap(state{n, false}, at), pixmap(state{n, true}, at)
				differ := 0
				for i := range size * size {
					x, y := i%size, i/size
					if math.Abs(view(calm.NRGBAAt(x, y))-view(alarm.NRGBAAt(x, y))) > 64 {
						differ++
					}
				}
				if part := float64(differ) / float64(size*size); part < 0.05 {
					t.Errorf("%s, %d servers, %d pixels: the alarm changes %.1f %%, want 5 %%", name, n, size, 100*part)
				}
			}
		}
	}
}

// lightness returns the grey value of a colour on a grey panel.
func lightness(c color.NRGBA, panel float64) float64 {
	alpha := float64(c.A) / 255
	return alpha*(0.299*float64(c.R)+0.587*float64(c.G)+0.114*float64(c.B)) + (1-alpha)*panel
}

// TestBadgeAndAlarmTogether checks that badge and alarm do not change each other.
func TestBadgeAndAlarmTogether(t *testing.T) {
	for at, size := range sizes {
		for n := 1; n <= 10; n++ {
			calm, alarm := pixmap(state{n, false}, at), pixmap(state{n, true}, at)
			none, alone := pixmap(state{0, false}, at), pixmap(state{0, true}, at)
			badge, disc := 0, 0
			for i := range size * size {
				x, y := i%size, i/size
				// The soft corners of the plate show the background.
				if c := calm.NRGBAAt(x, y); c != none.NRGBAAt(x, y) && (c == dark || c == white) {
					badge++
					if alarm.NRGBAAt(x, y) != calm.NRGBAAt(x, y) {
						t.Fatalf("%d servers, %d pixels: the alarm changes the badge at %d,%d", n, size, x, y)
					}
				}
				if distance(alone.NRGBAAt(x, y), amber) < 2 {
					disc++
					if alarm.NRGBAAt(x, y) != alone.NRGBAAt(x, y) {
						t.Fatalf("%d servers, %d pixels: the badge changes the alarm at %d,%d", n, size, x, y)
					}
				}
			}
			if least := size * size / 10; badge < least || disc < least {
				t.Errorf("%d servers, %d pixels: badge and disc have %d and %d, want %d", n, size, badge, disc, least)
			}
		}
	}
}

// TestGlyphStaysVisible checks that at least half of the white of the glyph remains. If the alarm replaces the dot, a
// fifth of the glyph, the dot does not count.
func TestGlyphStaysVisible(t *testing.T) {
	for at, size := range sizes {
		plain := pixmap(state{}, at)
		for _, s := range states() {
			img := pixmap(s, at)
			var all, left float64
			for i := range size * size {
				x, y := i%size, i/size
				if s.alarm && x < size*3/8 && y < size*3/8 {
					continue
				}
				c := plain.NRGBAAt(x, y)
				weight := float64(c.R-tile.R) / float64(white.R-tile.R)
				if c.A < 255 || c.R < tile.R {
					continue
				}
				all += weight
				if img.NRGBAAt(x, y) == c {
					left += weight
				}
			}
			if part := left / all; part < 0.5 {
				t.Errorf("%v, %d pixels: %.0f %% of the glyph is left, want 50 %%", s, size, 100*part)
			}
		}
	}
}

// TestBadgeIsCrisp checks that the digits fill whole pixels at small sizes: there is no grey between white and dark.
func TestBadgeIsCrisp(t *testing.T) {
	for at, size := range sizes[:4] {
		for n := 1; n <= 10; n++ {
			img, none := pixmap(state{n, false}, at), pixmap(state{}, at)
			digits := 0
			for i := range size * size {
				x, y := i%size, i/size
				c := img.NRGBAAt(x, y)
				if c == none.NRGBAAt(x, y) {
					continue
				}
				if c == white {
					digits++
				}
				// Only the corners of the plate are soft, and the tile shows there.
				if grey := c.R > dark.R+40 && c.R < 215; grey && distance(c, tile) > 140 {
					t.Errorf("%d servers, %d pixels: %d,%d is %v, want white or dark", n, size, x, y, c)
				}
			}
			if digits < size/4 {
				t.Errorf("%d servers, %d pixels: the number has %d white pixels, want %d", n, size, digits, size/4)
			}
		}
	}
}

func TestTemplates(t *testing.T) {
	names := map[string][]byte{"TemplateIcon()": TemplateIcon(), "AttentionTemplate()": AttentionTemplate()}
	for name, file := range names {
		img := decode(t, name, file)
		if got, want := img.Rect.Size(), image.Pt(44, 44); got != want {
			t.Errorf("%s has the size %v, want %v", name, got, want)
		}
		alphas := make(map[uint8]bool)
		for y := range img.Rect.Dy() {
			for x := range img.Rect.Dx() {
				c := img.NRGBAAt(x, y)
				if c.R != 0 || c.G != 0 || c.B != 0 {
					t.Fatalf("%s at %d,%d is %v, want black", name, x, y, c)
				}
				alphas[c.A] = true
			}
		}
		if !alphas[0] || !alphas[255] {
			t.Errorf("%s needs both clear and opaque pixels", name)
		}
	}
	calm, alarm := decode(t, "TemplateIcon()", TemplateIcon()), decode(t, "AttentionTemplate()", AttentionTemplate())
	differ := 0
	for i := 3; i < len(calm.Pix); i += 4 {
		if d := int(calm.Pix[i]) - int(alarm.Pix[i]); max(d, -d) > 128 {
			differ++
		}
	}
	if least := 44 * 44 / 20; differ < least {
		t.Errorf("the alarm changes %d pixels of the template, want %d", differ, least)
	}
}

// TestIconFiles checks that each entry of an ICO file has the size of its picture. Windows chooses by the entry.
func TestIconFiles(t *testing.T) {
	for _, s := range states() {
		file := read(s.n, s.alarm)
		if !bytes.HasPrefix(file, []byte{0, 0, 1, 0}) {
			t.Errorf("%v: not an ICO file", s)
		}
		for i, picture := range pictures(file) {
			entry := file[6+16*i:]
			if got, want := [2]int{int(entry[0]), int(entry[1])}, [2]int{sizes[i], sizes[i]}; got != want {
				t.Errorf("%v: entry %d says %v pixels, want %v", s, i, got, want)
			}
			if got, want := decode(t, s.String(), picture).Rect.Size(), image.Pt(sizes[i], sizes[i]); got != want {
				t.Errorf("%v: picture %d has %v pixels, want %v", s, i, got, want)
			}
		}
	}
}

// TestGenerated fails if icon.svg or generate.go changed without go generate, or if an image was edited.
func TestGenerated(t *testing.T) {
	sums, err := os.Open("generated.sum")
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	var names []string
	for lines := bufio.NewScanner(sums); lines.Scan(); {
		want, name, _ := strings.Cut(lines.Text(), "  ")
		names = append(names, name)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != want {
			t.Errorf("%s is not the file that generated.sum names: run go generate", name)
		}
	}
	want := []string{"icon.svg", "generate.go", "icon.png", "template.png", "template-alarm.png"}
	embedded, err := icons.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(embedded); got != len(states()) {
		t.Errorf("%d icons are embedded, want %d", got, len(states()))
	}
	for _, file := range embedded {
		want = append(want, file.Name())
	}
	for _, name := range want {
		if !slices.Contains(names, name) {
			t.Errorf("generated.sum does not name %s", name)
		}
	}
}

// BenchmarkPixmaps measures the cost of an icon change.
func BenchmarkPixmaps(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Pixmaps(3, true)
	}
}

// pixmap returns the picture of a state in the size with that index.
func pixmap(s state, size int) *image.NRGBA {
	p := Pixmaps(s.n, s.alarm)[size]
	img := image.NewNRGBA(image.Rect(0, 0, int(p.Width), int(p.Height)))
	for i := 0; i < len(p.Pixels); i += 4 {
		copy(img.Pix[i:], []byte{p.Pixels[i+1], p.Pixels[i+2], p.Pixels[i+3], p.Pixels[i]})
	}
	return img
}

// decode returns the picture of a PNG file. It must not be multiplied by alpha.
func decode(t *testing.T, name string, file []byte) *image.NRGBA {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	straight, ok := img.(*image.NRGBA)
	if !ok {
		t.Fatalf("%s is a %T, want an *image.NRGBA", name, img)
	}
	return straight
}
