package assets

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"slices"
	"strings"
	"testing"
)

var (
	pngSizes = []int{64}
	icoSizes = []int{16, 20, 24, 32, 48, 64}
)

func TestTrayIcon(t *testing.T) {
	sizes := pngSizes
	if extension == ".ico" {
		sizes = icoSizes
	}
	icons := make(map[int][]byte)
	for n := -1; n <= 12; n++ {
		icons[n] = TrayIcon(n)
		if got := squares(t, fmt.Sprintf("TrayIcon(%d)", n), icons[n]); !slices.Equal(got, sizes) {
			t.Errorf("TrayIcon(%d) has the sizes %v, want %v", n, got, sizes)
		}
	}
	for a := 0; a <= 10; a++ {
		for b := range a {
			if bytes.Equal(icons[a], icons[b]) {
				t.Errorf("TrayIcon(%d) and TrayIcon(%d) are the same", a, b)
			}
		}
	}
	if got := squares(t, "AttentionIcon()", AttentionIcon()); !slices.Equal(got, sizes) {
		t.Errorf("AttentionIcon() has the sizes %v, want %v", got, sizes)
	}
	for n, same := range map[int]int{-1: 0, 11: 10, 12: 10} {
		if !bytes.Equal(icons[n], icons[same]) {
			t.Errorf("TrayIcon(%d) and TrayIcon(%d) differ", n, same)
		}
	}
}

// TestIconFiles reads the icons of every system, whichever one runs the test.
func TestIconFiles(t *testing.T) {
	names := []string{"icon-attention"}
	for n := range 11 {
		names = append(names, fmt.Sprint("icon-", n))
	}
	for _, name := range names {
		for extension, sizes := range map[string][]int{".png": pngSizes, ".ico": icoSizes} {
			name := name + extension
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if got := squares(t, name, data); !slices.Equal(got, sizes) {
				t.Errorf("%s has the sizes %v, want %v", name, got, sizes)
			}
		}
	}
}

func TestTemplates(t *testing.T) {
	for name, file := range map[string][]byte{"TemplateIcon()": TemplateIcon(), "AttentionTemplate()": AttentionTemplate()} {
		if got, want := squares(t, name, file), []int{44}; !slices.Equal(got, want) {
			t.Errorf("%s has the sizes %v, want %v", name, got, want)
		}
		img := decode(t, name, file)
		alphas := make(map[uint8]bool)
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
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
}

// The state must be told by those who see no colours: the attention icon differs from every other in lightness, in a good part
// of its picture.
func TestAttentionNeedsNoColour(t *testing.T) {
	for _, size := range []int{0, 1, 2, 3} {
		attention := lightness(t, size, "icon-attention.ico")
		for n := range 11 {
			name := fmt.Sprintf("icon-%d.ico", n)
			differ := 0
			for i, other := range lightness(t, size, name) {
				if d := int(other) - int(attention[i]); max(d, -d) > 64 {
					differ++
				}
			}
			if part := float64(differ) / float64(len(attention)); part < 0.2 {
				t.Errorf("at %d pixels only %.0f %% tell attention from %s", icoSizes[size], 100*part, name)
			}
		}
	}
}

// lightness returns the grey values of a picture in an ICO file.
func lightness(t *testing.T, at int, name string) []uint8 {
	t.Helper()
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	img := decode(t, name, pictures(t, name, file)[at])
	var greys []uint8
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			greys = append(greys, color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
		}
	}
	return greys
}

// TestGenerated fails when icon.svg or generate.go was changed without running go generate, or an image by other means.
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
	for _, name := range []string{"icon.svg", "generate.go", "icon-0.png", "icon-10.ico", "template.png", "icon-attention.png",
		"icon-attention.ico", "template-attention.png"} {
		if !slices.Contains(names, name) {
			t.Errorf("generated.sum does not name %s", name)
		}
	}
}

// squares returns the widths of the pictures in a PNG or ICO file, all of which must be square.
func squares(t *testing.T, name string, file []byte) []int {
	t.Helper()
	var sizes []int
	for _, picture := range pictures(t, name, file) {
		bounds := decode(t, name, picture).Bounds()
		if bounds.Dx() != bounds.Dy() {
			t.Errorf("%s is %v, want a square", name, bounds)
		}
		sizes = append(sizes, bounds.Dx())
	}
	return sizes
}

// pictures returns the PNG files in an ICO file; a PNG file is its own only picture.
func pictures(t *testing.T, name string, file []byte) [][]byte {
	t.Helper()
	le := binary.LittleEndian
	if !bytes.HasPrefix(file, []byte{0, 0, 1, 0}) {
		return [][]byte{file}
	}
	var list [][]byte
	for i := range int(le.Uint16(file[4:])) {
		entry := file[6+16*i:][:16]
		size, offset := int(le.Uint32(entry[8:])), int(le.Uint32(entry[12:]))
		if offset+size > len(file) {
			t.Fatalf("%s: picture %d ends at %d of %d bytes", name, i, offset+size, len(file))
		}
		picture := file[offset:][:size]
		if got, want := int(entry[0]), decode(t, name, picture).Bounds().Dx(); got != want {
			t.Errorf("%s: the entry of picture %d says %d pixels, want %d", name, i, got, want)
		}
		list = append(list, picture)
	}
	return list
}

func decode(t *testing.T, name string, file []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return img
}
