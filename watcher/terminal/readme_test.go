package terminal

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme checks that all commands and flags in the README exist.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile("(?m)^\\$ porttray (.+)$|`porttray ([a-z]+[^`]*)`|\\$\\(porttray ([^)]*)\\)")
	lines := command.FindAllStringSubmatch(string(text), -1)
	if len(lines) < 15 {
		t.Errorf("the README has only %d commands", len(lines))
	}
	for _, line := range lines {
		words := strings.Fields(line[1] + line[2] + line[3])
		c, rest, err := Command(Program{}).Find(words)
		if err != nil || c.Name() == "porttray" {
			t.Errorf("%q is no command (%v)", line[0], err)
			continue
		}
		if err := c.ParseFlags(rest); err != nil {
			t.Errorf("%q: %v", line[0], err)
		}
	}
}

// TestReadmeNamesTests checks that all tests named in the README and in SECURITY.md exist.
func TestReadmeNamesTests(t *testing.T) {
	root := os.DirFS("../..")
	readme, err := fs.ReadFile(root, "README.md")
	if err != nil {
		t.Fatal(err)
	}
	security, err := fs.ReadFile(root, ".github/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	there := map[string]bool{}
	err = fs.WalkDir(root, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(root, name)
		for _, f := range function.FindAllStringSubmatch(string(source), -1) {
			there[f[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`).FindAllString(string(readme)+string(security), -1)
	if len(named) < 20 {
		t.Errorf("only these tests are named: %q", named)
	}
	for _, name := range named {
		if !there[name] {
			t.Errorf("there is no %s", name)
		}
	}
}
