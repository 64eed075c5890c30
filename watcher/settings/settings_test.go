package settings

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

func TestParse(t *testing.T) {
	got, err := parse([]byte(`
interval = "1500ms"
terminal = "kitty --single-instance"

[[rule]]
port = 3000
process = "node"
show = "main"
notify = "always"
label = "Shop"
scheme = "https"
path = "/admin?x=1"
pin = true

[[rule]]
port = "9000-9099"
project = "@acme/*"
directory = "~/code/**"
show = "never"
`))
	want := Settings{Interval: Interval(1500 * time.Millisecond), Terminal: "kitty --single-instance", Rules: []Rule{
		{Port: Ports{3000, 3000}, Process: "node", Show: ShowMain, Notify: NotifyAlways, Label: "Shop",
			Scheme: "https", Path: "/admin?x=1", Pin: true},
		{Port: Ports{9000, 9099}, Project: "@acme/*", Directory: "~/code/**", Show: ShowNever},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestParseErrors has the position and the text of the error for each wrong line.
func TestParseErrors(t *testing.T) {
	const rule = "[[rule]]\nport = 1\n"
	for _, tt := range []struct {
		text         string
		line, column int
		want         string
	}{
		{"intervall = \"2s\"\n", 1, 1, `there is no "intervall"; the file has interval, terminal and [[rule]]`},
		{"\n[rules]\n", 2, 2, `there is no "rules"; the file has interval, terminal and [[rule]]`},
		{"\n\ninterval = 2\n", 3, 12, `interval is a time from "250ms" to "1m", such as "2s"`},
		{"interval = \"1ms\"\n", 1, 12, `interval is a time from "250ms" to "1m", such as "2s"`},
		{"interval = true\n", 1, 12, `interval is a time from "250ms" to "1m", such as "2s"`},
		{"terminal = 5\n", 1, 12, `terminal is a text between quotation marks`},
		{"terminal = kitty\n", 1, 12, ``},
		{"terminal = \"kitty\n", 1, 12, ``},
		{rule + "shwo = \"main\"\n", 3, 1, `there is no "shwo"; ` +
			`a rule has port, process, project, directory, show, notify, label, scheme, path and pin`},
		{rule + "show = \"menu\"\n", 3, 8, `show is "main", "other" or "never", and not "menu"`},
		{rule + "show = false\n", 3, 8, `show is "main", "other" or "never", and not "false"`},
		{rule + "notify = \"no\"\n", 3, 10, `notify is "always", "normal" or "never", and not "no"`},
		{rule + "scheme = \"ftp\"\n", 3, 10, `scheme is "http" or "https", and not "ftp"`},
		{rule + "path = \"admin\"\n", 3, 8, `path begins with one slash and holds no spaces, and is not "admin"`},
		{rule + "path = \"//evil.example\"\n", 3, 8,
			`path begins with one slash and holds no spaces, and is not "//evil.example"`},
		{rule + "pin = \"yes\"\n", 3, 7, `pin is true or false`},
		{rule + "label = 5\n", 3, 9, `label is a text between quotation marks`},
		{"[[rule]]\nport = 0\n", 2, 8, `port is a number from 1 to 65535, or a range such as "3000-3999"`},
		{"[[rule]]\nport = \"3999-3000\"\n", 2, 8, `port is a number from 1 to 65535, or a range such as "3000-3999"`},
		{"[[rule]]\nport = \"http\"\n", 2, 8, `port is a number from 1 to 65535, or a range such as "3000-3999"`},
		{"[[rule]]\nport = [1, 2]\n", 2, 8, ``},
		{"[[rule]]\nprocess = \"[a\"\n", 2, 11, `process: "[a" is no pattern: a bracket may be open`},
		{"[[rule]]\ndirectory = \"\"\n", 2, 13, `directory is a pattern between quotation marks`},
		{"[[rule]]\nprocess = true\n", 2, 11, `process is a pattern between quotation marks`},
		{"[[rule]]\nproject = 5\n", 2, 11, `project is a pattern between quotation marks`},
		{rule + "interval = \"2s\"\n", 3, 1, `interval is not part of a rule: it stands before the first [[rule]]`},
		{"\ufefflabel = 5\n", 1, 1, `there is no "label"; the file has interval, terminal and [[rule]]`},
		{rule + "pin = true\n\n[[rule]]\nshow = \"main\"\n", 5, 1,
			"this rule matches everything: give it a port, process, project or directory"},
		{"\n" + rule, 2, 1, "this rule does nothing: give it show, notify, label, scheme, path or pin"},
		{"[rule]\nport = 1\n", 1, 2, "rules are written under [[rule]], with two brackets"},
		{rule + "port = 2\n", 3, 1, ""},
		{"interval\n", 1, 9, ""},
		{"\xff\n", 1, 1, ""},
	} {
		_, err := parse([]byte(tt.text))
		var wrong *Error
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if wrong.Line != tt.line || tt.want != "" && (wrong.Column != tt.column || wrong.Problem != tt.want) ||
			wrong.Problem == "" || strings.Contains(wrong.Problem, "\n") {
			t.Errorf("%q:\n got line %d, column %d: %s\nwant line %d, column %d: %s", tt.text,
				wrong.Line, wrong.Column, wrong.Problem, tt.line, tt.column, tt.want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := Read(file); err != nil || !reflect.DeepEqual(s, Settings{}) {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	write("interval = \"2s\"")
	if s, err := Read(file); err != nil || s.Interval != Interval(2*time.Second) {
		t.Errorf("%+v, %v", s, err)
	}
	write("\n\ninterval = 2")
	const want = `config.toml line 3: interval is a time from "250ms" to "1m", such as "2s"`
	if s, err := Read(file); err == nil || err.Error() != want || s.Interval != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	write(strings.Repeat("#", maxFile+1))
	if _, err := Read(file); err == nil || err.Error() != "config.toml: it is larger than 1 MB" {
		t.Error(err)
	}
	if _, err := Read(dir); err == nil || !strings.HasSuffix(err.Error(), ": it is no file") {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of another user's")
	}
	write("terminal = \"evil\"")
	if err := os.Chown(file, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(file); err == nil || err.Error() != "config.toml: it is another user's" || s.Terminal != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestExample reads the example. It sets nothing, and is valid without the comment signs.
func TestExample(t *testing.T) {
	file := filepath.Join(t.TempDir(), "porttray", "config.toml")
	if err := Create(file); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(file); err != nil || !reflect.DeepEqual(s, Settings{}) {
		t.Errorf("%+v, %v", s, err)
	}
	var text bytes.Buffer
	for line := range strings.Lines(string(example)) {
		if set := strings.TrimPrefix(line, "# "); strings.Contains(set, " = ") || strings.HasPrefix(set, "[[") {
			text.WriteString(set)
		}
	}
	s, err := parse(text.Bytes())
	if err != nil || len(s.Rules) != 3 || s.Interval == 0 || s.Terminal == "" {
		t.Errorf("%+v, %v in\n%s", s, err, text.String())
	}
	if err := os.WriteFile(file, []byte("# mine\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Create(file); err != nil {
		t.Error(err)
	}
	if kept, _ := os.ReadFile(file); string(kept) != "# mine\n" {
		t.Errorf("the person's file was replaced by %q", kept)
	}
}

func TestRule(t *testing.T) {
	home := filepath.Join(string(filepath.Separator)+"home", "an*n")
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	web := filepath.Join(home, "code", "shop", "web")
	shop := server.Listener{Port: 3000, Owner: owner.Process{PID: 1, Name: "node", Dir: web}}
	shop.Facts.Project = project.Project{Name: "@acme/shop", Dir: filepath.Join(home, "code", "shop")}
	bare := server.Listener{Port: 9000, Owner: owner.Process{PID: 2, Name: "java", Dir: "/srv"}}
	db := server.Listener{Port: 5432, Owner: owner.Process{PID: 3, Name: "docker-proxy", Dir: "/"},
		Container: engine.Container{ID: "c", Project: "shop"}}
	hidden := server.Listener{Port: 631}
	for _, tt := range []struct {
		rule Rule
		want string // the initials of the listeners that match
	}{
		{Rule{Port: Ports{3000, 3000}}, "s"},
		{Rule{Port: Ports{3000, 9000}}, "sbd"},
		{Rule{Process: "node"}, "s"},
		{Rule{Process: "*"}, "sbdh"},
		{Rule{Process: "{node,java}"}, "sb"},
		{Rule{Process: "no"}, ""},
		{Rule{Project: "@acme/*"}, "s"},
		{Rule{Project: "*shop"}, "sd"},
		{Rule{Project: "shop"}, "d"},
		{Rule{Directory: "~/code/*"}, "s"},
		{Rule{Directory: "~/code/shop/"}, "s"},
		{Rule{Directory: "~/code/shop/web"}, ""}, // the project's directory counts
		{Rule{Directory: "~/*"}, ""},
		{Rule{Directory: "~/**"}, "s"},
		{Rule{Directory: "/home/other/**"}, ""},
		{Rule{Directory: "/srv"}, "b"},
		{Rule{Directory: "/"}, ""},
		{Rule{Port: Ports{9000, 9000}, Process: "node"}, ""},
	} {
		got := ""
		for name, l := range map[string]server.Listener{"s": shop, "b": bare, "d": db, "h": hidden} {
			if tt.rule.matches(l) {
				got += name
			}
		}
		if sorted := sortAs(got, "sbdh"); sorted != tt.want {
			t.Errorf("%+v matches %q, want %q", tt.rule, sorted, tt.want)
		}
	}
	s := Settings{Rules: []Rule{
		{Port: Ports{3000, 3000}, Label: "first"}, {Process: "node", Label: "second"},
		{Process: "java", Label: "third"},
	}}
	for l, want := range map[*server.Listener]string{&shop: "first", &bare: "third", &db: ""} {
		if got := s.Rule(*l).Label; got != want {
			t.Errorf("%d falls under the rule %q, want %q", l.Port, got, want)
		}
	}
}

// sortAs returns the letters in their order in another text.
func sortAs(letters, order string) string {
	sorted := ""
	for _, r := range order {
		if strings.ContainsRune(letters, r) {
			sorted += string(r)
		}
	}
	return sorted
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add(bytes.ReplaceAll(example, []byte("\n# "), []byte("\n")))
	f.Add([]byte("[[rule]]\nport = \"1-2\"\ndirectory = \"~/**/[a-c]\"\nshow = \"main\""))
	f.Add([]byte("interval = \"2s\"\n[[rule]]\n"))
	f.Add([]byte("rule = [{port = 1, pin = true}, {}]"))
	f.Add([]byte("\ufeffinterval = \"1m\"\r\nterminal = 'x'\r\n[[rule]]\r\nproject = \"{a,b}\"\r\n" +
		"notify = \"never\"\r\nscheme = \"https\"\r\npath = \"/a?b\"\r\nlabel = \"\\u202e\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parse(text)
		if err != nil {
			wrong, ok := err.(*Error)
			if !ok || wrong.Problem == "" || wrong.Line < 0 || wrong.Line > 1+bytes.Count(text, []byte("\n")) ||
				!reflect.DeepEqual(s, Settings{}) {
				t.Errorf("%q: %#v, along with %+v", text, err, s)
			}
			return
		}
		if i := time.Duration(s.Interval); i != 0 && (i < minInterval || i > maxInterval) {
			t.Errorf("%q: the interval is %v", text, i)
		}
		for _, r := range s.Rules {
			checkRule(t, r)
		}
		s.Rule(server.Listener{Port: 3000, Owner: owner.Process{PID: 1, Name: "a/b", Dir: "/x/[y"}})
		// A comment at the end changes nothing.
		again, err := parse(append(slices.Clone(text), "\n# the end"...))
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%q: with a comment it is %+v, %v, instead of %+v", text, again, err, s)
		}
	})
}

// checkRule checks the invariants of a rule that was read.
func checkRule(t *testing.T, r Rule) {
	t.Helper()
	port := r.Port == (Ports{}) || r.Port.First > 0 && r.Port.First <= r.Port.Last
	words := slices.Contains([]Show{"", ShowMain, ShowOther, ShowNever}, r.Show) &&
		slices.Contains([]Scheme{"", "http", "https"}, r.Scheme) &&
		slices.Contains([]Notify{"", NotifyAlways, NotifyNormal, NotifyNever}, r.Notify)
	path := r.Path == "" || r.Path[0] == '/' && !strings.HasPrefix(string(r.Path), "//") &&
		!strings.ContainsAny(string(r.Path), " \\\"\n\t\x00\x1b")
	if !port || !words || !path || r.problem() != "" {
		t.Errorf("got the rule %+v, %q", r, r.problem())
	}
	for _, g := range []Glob{r.Process, r.Project, r.Directory} {
		if !doublestar.ValidatePattern(string(g)) {
			t.Errorf("got the pattern %q", g)
		}
	}
	// No path leads to another computer.
	u, err := url.Parse("http://localhost:3000" + string(r.Path))
	if err == nil && u.Host != "localhost:3000" {
		t.Errorf("the path %q leads to %q", r.Path, u.Host)
	}
}

// TestReadme reads the example in the README. It must have each key.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```toml\n")
	block, _, ended := strings.Cut(after, "```")
	if !found || !ended {
		t.Fatal("there is no example")
	}
	s, err := parse([]byte(block))
	if err != nil || len(s.Rules) != 3 {
		t.Errorf("%+v, %v", s, err)
	}
	separates := func(r rune) bool { return strings.ContainsRune(" ,[]", r) }
	for key := range strings.FieldsFuncSeq(topKeys+", "+ruleKeys, separates) {
		if key != "and" && key != "rule" && !strings.Contains("\n"+block, "\n"+key+" = ") {
			t.Errorf("%q is not in the example", key)
		}
	}
}
