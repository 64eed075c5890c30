package terminal

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadme has only commands and flags in the README that there are.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile("(?m)^\\$ porttray (.+)$|`porttray ([a-z]+[^`]*)`|\\$\\(porttray ([^)]*)\\)").FindAllStringSubmatch(string(text), -1)
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
