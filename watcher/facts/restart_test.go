package facts

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"porttray/watcher/owner"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		goos, dir string
		args      []string
		want      string
	}{
		{"linux", "/home/ann/shop", []string{"node", "server.js", "--port=3000"},
			"cd /home/ann/shop && node server.js '--port=3000'"},
		{"linux", "/home/ann/my shop", []string{"./run", "", "it's", "$HOME", "a;b", "ä"},
			`cd '/home/ann/my shop' && ./run '' 'it'\''s' '$HOME' 'a;b' 'ä'`},
		{"linux", "/x\ny", []string{"a\nb", "`id`"}, "cd '/x\ny' && 'a\nb' '`id`'"},
		{"darwin", "/Users/ann", []string{"python3", "-m", "http.server", "8000"},
			"cd /Users/ann && python3 -m http.server 8000"},
		{"windows", `C:\Users\Ann B\shop`, []string{`C:\Program Files\node\node.exe`, "server.js", `a"b\`, "x&y"},
			`cd /d "C:\Users\Ann B\shop" && "C:\Program Files\node\node.exe" server.js "a\"b\\" "x&y"`},
	} {
		if got := commandLine(c.goos, c.dir, c.args); got != c.want {
			t.Errorf("%s: %q in %q: got %s, want %s", c.goos, c.args, c.dir, got, c.want)
		}
	}
}

func TestRestartCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		m    member
		dir  string
		want bool
	}{
		{"known", member{args: []string{"node", "a.js"}}, "/x", true},
		{"no arguments", member{}, "/x", false},
		{"no directory", member{args: []string{"node"}}, "", false},
		{"a title", member{exe: "/usr/sbin/nginx", args: []string{"nginx: master process nginx"}}, "/x", false},
		{"a program with a space in its path", member{exe: "/opt/my server", args: []string{"/opt/my server"}}, "/x",
			true},
		{"an escape sequence", member{args: []string{"a", "\x1b[201~\nid"}}, "/x", false},
		{"an escape sequence in the directory", member{args: []string{"a"}}, "/x\n", false},
		{"text that runs backwards", member{args: []string{"a", "\u202egpj.exe"}}, "/x", false},
		{"a direction that is isolated, in the directory", member{args: []string{"a"}}, "/x\u2066", false},
		{"a line separator", member{args: []string{"a", "b\u2028c"}}, "/x", false},
		{"emoji of several parts", member{args: []string{"a", "👩\u200d💻"}}, "/x", true},
		{"too many arguments", member{args: slices.Repeat([]string{"a"}, maxArgs)}, "/x", false},
		{"arguments that are cut off", member{args: []string{"a", strings.Repeat("b", maxCmdline-3)}}, "/x", false},
	} {
		if got := restartCommand(c.m, c.dir); (got != "") != c.want {
			t.Errorf("%s: got %q", c.name, got)
		}
	}
}

// FuzzQuoteForShell lets a shell read the quoted words.
func FuzzQuoteForShell(f *testing.F) {
	if runtime.GOOS == "windows" {
		f.Skip("there is no sh")
	}
	for _, word := range []string{"", "a", "it's", "$HOME `id` \\ \" '", "a\nb", "-n", "~", "ä\xff", "*", "a=b", "!x",
		"#"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if strings.ContainsRune(word, 0) {
			t.Skip("no argument holds that")
		}
		out, err := exec.Command("sh", "-c", "printf %s "+quoteForShell(word)+"x").Output()
		if err != nil || string(out) != word+"x" {
			t.Errorf("%q: sh read %q, %v", word, out, err)
		}
	})
}

func TestSupervises(t *testing.T) {
	for line, want := range map[string]string{
		"node /app/node_modules/.bin/nodemon server.js": "nodemon",
		"air -c .air.toml":           "air",
		"node --watch server.js":     "node watch",
		"node server.js --watch":     "",
		"cargo watch -x run":         "cargo watch",
		"cargo run":                  "",
		"dotnet watch run":           "dotnet watch",
		"/usr/bin/watchexec -r make": "watchexec",
		"node server.js":             "",
		"bash":                       "",
	} {
		args := strings.Fields(line)
		if got := newMember(member{args: args,
			exe: "/usr/bin/" + owner.LastElement(args[0])}).supervises(); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// readForWindows splits a command line by the documented rules of Microsoft's C runtime. Before a quotation mark, two
// backslashes mean one, and a single one makes the mark literal. Elsewhere backslashes are literal. Inside quotation
// marks, two marks mean one.
func readForWindows(line string) (args []string) {
	text, in, quoted := "", false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\':
			n := len(line[i:]) - len(strings.TrimLeft(line[i:], `\`))
			i += n - 1
			in = true
			if strings.HasPrefix(line[i+1:], `"`) {
				text += strings.Repeat(`\`, n/2)
				if n%2 == 1 {
					text += `"`
					i++
				}
			} else {
				text += strings.Repeat(`\`, n)
			}
		case c == '"' && quoted && strings.HasPrefix(line[i+1:], `"`):
			text += `"`
			i++
		case c == '"':
			quoted, in = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if in {
				args = append(args, text)
			}
			text, in = "", false
		default:
			text, in = text+line[i:i+1], true
		}
	}
	if in {
		args = append(args, text)
	}
	return args
}

func FuzzQuoteForWindows(f *testing.F) {
	for _, word := range []string{"", "a", `C:\Program Files\x\`, `say "hi"`, `\\"`, "a\tb", "%PATH%", "a&b|c", "ä",
		`"`, `\`, "(x)", "^"} {
		f.Add(word, word)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if !utf8.ValidString(first) || !utf8.ValidString(second) {
			t.Skip("Windows has no such texts")
		}
		line := quoteForWindows(first) + " " + quoteForWindows(second)
		if got := readForWindows(line); !slices.Equal(got, []string{first, second}) {
			t.Errorf("%q and %q are written as %q, and read as %q", first, second, line, got)
		}
		// The special characters of cmd are inside quotation marks.
		outside := ""
		for i, part := range strings.Split(quoteForWindows(first), `"`) {
			if i%2 == 0 {
				outside += part
			}
		}
		if !strings.Contains(first, `"`) && strings.ContainsAny(outside, "&|<>^()") {
			t.Errorf("%q is written as %q", first, quoteForWindows(first))
		}
	})
}
