package owner

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		goos, dir string
		args      []string
		want      string
	}{
		{"linux", "/home/ann/shop", []string{"node", "server.js", "--port=3000"}, "cd /home/ann/shop && node server.js '--port=3000'"},
		{"linux", "/home/ann/my shop", []string{"./run", "", "it's", "$HOME", "a;b", "ä"}, `cd '/home/ann/my shop' && ./run '' 'it'\''s' '$HOME' 'a;b' 'ä'`},
		{"linux", "/x\ny", []string{"a\nb", "`id`"}, "cd '/x\ny' && 'a\nb' '`id`'"},
		{"darwin", "/Users/ann", []string{"python3", "-m", "http.server", "8000"}, "cd /Users/ann && python3 -m http.server 8000"},
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
		{"a program with a space in its path", member{exe: "/opt/my server", args: []string{"/opt/my server"}}, "/x", true},
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

// FuzzQuoteForShell has a shell read what was quoted for it.
func FuzzQuoteForShell(f *testing.F) {
	if runtime.GOOS == "windows" {
		f.Skip("there is no sh")
	}
	for _, word := range []string{"", "a", "it's", "$HOME `id` \\ \" '", "a\nb", "-n", "~", "ä\xff", "*", "a=b", "!x", "#"} {
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
		if got := newMember(member{args: args, exe: "/usr/bin/" + lastElement(args[0])}).supervises(); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}
