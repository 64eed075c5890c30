package tray

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func TestExecKey(t *testing.T) {
	for _, tt := range []struct{ exe, want string }{
		{"/usr/bin/porttray", `"/usr/bin/porttray" tray`},
		{"/home/ann/my tools/porttray", `"/home/ann/my tools/porttray" tray`},
		{`/a"b`, `"/a\\"b" tray`},
		{"/a`id`", "\"/a\\\\`id\\\\`\" tray"},
		{"/a$HOME", `"/a\\$HOME" tray`},
		{`/a\b`, `"/a\\\\b" tray`},
		{"/100%u", `"/100%%u" tray`},
		{"/a\nExec=evil", `"/a\nExec=evil" tray`},
		{"/a\tb\rc", `"/a\tb\rc" tray`},
	} {
		got := execKey(tt.exe, "tray")
		if got != tt.want {
			t.Errorf("%q becomes %s, want %s", tt.exe, got, tt.want)
		}
		if back := parseExec(got); !slices.Equal(back, []string{tt.exe, "tray"}) {
			t.Errorf("%s is read as %q, want %q", got, back, tt.exe)
		}
		if entry := autostartEntry(tt.exe); strings.Count(entry, "\n") != 7 ||
			!strings.Contains(entry, "\nExec="+tt.want+"\n") || !inForce(entry) {
			t.Errorf("the entry for %q is\n%s", tt.exe, entry)
		}
	}
}

// parseExec reads an Exec value like a desktop: first as a string, then as a command line.
func parseExec(value string) []string {
	line := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(value)
	quoted, rest, _ := strings.Cut(strings.TrimPrefix(line, `"`), `" `)
	return append([]string{strings.NewReplacer(`\"`, `"`, "\\`", "`", `\$`, `$`, `\\`, `\`, `%%`, `%`).Replace(quoted)},
		strings.Fields(rest)...)
}

func TestInForce(t *testing.T) {
	for _, tt := range []struct {
		name, entry string
		want        bool
	}{
		{"plain", "[Desktop Entry]\nExec=porttray\n", true},
		{"hidden", "[Desktop Entry]\nHidden=true\n", false},
		{"hidden, with spaces and other line ends", "# off\r\n[Desktop Entry]\r\n Hidden = true \r\n", false},
		{"not hidden", "[Desktop Entry]\nHidden=false\n", true},
		{"hidden no longer", "[Desktop Entry]\nHidden=true\nHidden=false\n", true},
		{"turned off by GNOME", "[Desktop Entry]\nX-GNOME-Autostart-enabled=false", false},
		{"turned on by GNOME", "[Desktop Entry]\nX-GNOME-Autostart-enabled=true", true},
		{"another group", "[Desktop Entry]\nExec=porttray\n[Desktop Action x]\nHidden=true\n", true},
		{"in a comment", "[Desktop Entry]\n#Hidden=true\n", true},
	} {
		if got := inForce(tt.entry); got != tt.want {
			t.Errorf("%s: in force %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestLaunchAgent(t *testing.T) {
	for _, exe := range []string{"/Applications/porttray.app/Contents/MacOS/porttray",
		`/Users/ann/R&D <1> "x"/porttray`} {
		var got struct {
			Keys    []string   `xml:"dict>key"`
			Strings []string   `xml:"dict>string"`
			Args    []string   `xml:"dict>array>string"`
			Load    []struct{} `xml:"dict>true"`
		}
		source := launchAgent(exe)
		if err := xml.Unmarshal([]byte(source), &got); err != nil {
			t.Fatalf("%v in\n%s", err, source)
		}
		if want := []string{exe, "tray"}; !slices.Equal(got.Args, want) || got.Strings[0] != appID ||
			len(got.Load) != 1 || got.Keys[2] != "RunAtLoad" {
			t.Errorf("%+v in\n%s\nwant the arguments %q", got, source, want)
		}
	}
}

// TestAppID compares the identifier with the one in the package.
func TestAppID(t *testing.T) {
	text, err := os.ReadFile("../FyneApp.toml")
	if err != nil {
		t.Fatal(err)
	}
	var app struct{ Details struct{ ID string } }
	if err := toml.Unmarshal(text, &app); err != nil || app.Details.ID != appID {
		t.Errorf("FyneApp.toml has the ID %q, %v, want %q", app.Details.ID, err, appID)
	}
}

func TestRunCommand(t *testing.T) {
	for _, tt := range []struct{ exe, want string }{
		{`C:\porttray.exe`, `"C:\porttray.exe" tray`},
		{`C:\Users\Ann Ö\AppData\porttray.exe`, `"C:\Users\Ann Ö\AppData\porttray.exe" tray`},
		{`C:\` + strings.Repeat("ö", 250), `"C:\` + strings.Repeat("ö", 250) + `" tray`},
		{`C:\` + strings.Repeat("x", 251), ""},
	} {
		if got, err := runCommand(tt.exe); got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s becomes %s, %v, want %s", tt.exe, got, err, tt.want)
		}
	}
}

// TestWriteWhole replaces a file while it is read. A failed write leaves nothing behind.
func TestWriteWhole(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	file := filepath.Join(dir, "entry")
	for _, text := range []string{"first", "second"} {
		if err := writeWhole(file, text); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(file); string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "taken", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeWhole(filepath.Join(dir, "taken"), "third"); err == nil {
		t.Error("a directory that is not empty was replaced")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%q were left behind (%v)", left, err)
	}
}
