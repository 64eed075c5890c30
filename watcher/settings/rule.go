package settings

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"porttray/watcher/server"
)

// A Rule applies to the listeners that match all its conditions. An empty condition matches everything.
type Rule struct {
	Port      Ports `json:"port,omitzero"`
	Process   Glob  `json:"process,omitempty"`
	Project   Glob  `json:"project,omitempty"`
	Directory Glob  `json:"directory,omitempty"` // the project's, else the process's; ~ is the home directory

	Show   Show   `json:"show,omitempty"`
	Notify Notify `json:"notify,omitempty"`
	Label  string `json:"label,omitempty"` // the name to show
	Scheme Scheme `json:"scheme,omitempty"`
	Path   Path   `json:"path,omitempty"` // the path to open on the server
	Pin    bool   `json:"pin,omitempty"`
}

// Ports are a port or a range of ports: 3000, "3000-3999". The zero value is all ports.
type Ports struct{ First, Last uint16 }

// UnmarshalText reads ports.
func (p *Ports) UnmarshalText(text []byte) error {
	from, to, isRange := strings.Cut(string(text), "-")
	first, err := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	last := first
	if err == nil && isRange {
		last, err = strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	}
	if err != nil || first == 0 || first > last {
		return errors.New(`port is a number from 1 to 65535, or a range such as "3000-3999"`)
	}
	*p = Ports{uint16(first), uint16(last)}
	return nil
}

// MarshalText writes the ports in the form of UnmarshalText.
func (p Ports) MarshalText() ([]byte, error) {
	if p.First == p.Last {
		return strconv.AppendUint(nil, uint64(p.First), 10), nil
	}
	return fmt.Appendf(nil, "%d-%d", p.First, p.Last), nil
}

func (p Ports) has(port uint16) bool { return p == Ports{} || p.First <= port && port <= p.Last }

// A Glob is a pattern: * matches any characters, ? matches one, [a-z] one of several, {a,b} alternatives. In a
// directory * does not match a separator, and ** matches any number of directories. The empty Glob matches everything.
type Glob string

// UnmarshalText reads a pattern.
func (g *Glob) UnmarshalText(text []byte) error {
	if !doublestar.ValidatePattern(string(text)) {
		return fmt.Errorf("%q is no pattern: a bracket may be open", text)
	}
	*g = Glob(text)
	return nil
}

// name reports whether a name matches. A name may hold slashes, as in "@acme/shop", and * matches them too.
func (g Glob) name(name string) bool {
	flat := strings.NewReplacer("/", "\x00").Replace
	return g == "" || doublestar.MatchUnvalidated(flat(string(g)), flat(name))
}

// dir reports whether a directory matches.
func (g Glob) dir(dir string) bool {
	pattern := string(g)
	if rest, ok := strings.CutPrefix(pattern, "~"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			pattern = escapeGlob(filepath.ToSlash(home)) + rest
		}
	}
	pattern = strings.TrimSuffix(pattern, "/")
	return g == "" || dir != "" && doublestar.MatchUnvalidated(pattern, filepath.ToSlash(dir))
}

// escapeGlob returns a pattern that matches only the text.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `{`, `\{`).Replace(text)
}

// Show is the place to show a listener in.
type Show string

// The places. The empty Show keeps the place without a rule.
const (
	ShowMain  Show = "main"
	ShowOther Show = "other"
	ShowNever Show = "never"
)

// UnmarshalText reads a place.
func (s *Show) UnmarshalText(text []byte) error {
	return oneOf(s, text, "show", ShowMain, ShowOther, ShowNever)
}

// Notify is when to notify about a listener.
type Notify string

// The choices. The empty Notify means NotifyNormal.
const (
	NotifyAlways Notify = "always" // for any choice in the menu, unless notices are off or paused
	NotifyNormal Notify = "normal"
	NotifyNever  Notify = "never"
)

// UnmarshalText reads a choice.
func (n *Notify) UnmarshalText(text []byte) error {
	return oneOf(n, text, "notify", NotifyAlways, NotifyNormal, NotifyNever)
}

// A Scheme is the URL scheme to open a server with. The empty Scheme means to ask the server.
type Scheme string

// UnmarshalText reads a scheme.
func (s *Scheme) UnmarshalText(text []byte) error { return oneOf(s, text, "scheme", "http", "https") }

// oneOf reads one of the given words.
func oneOf[T ~string](into *T, text []byte, key string, words ...T) error {
	if !slices.Contains(words, T(text)) {
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = strconv.Quote(string(w))
		}
		last := len(quoted) - 1
		return fmt.Errorf("%s is %s or %s, and not %q", key, strings.Join(quoted[:last], ", "), quoted[last], text)
	}
	*into = T(text)
	return nil
}

// A Path is the path to open on a server, with a query if needed: /admin, /docs?x=1.
type Path string

// UnmarshalText reads a path.
func (p *Path) UnmarshalText(text []byte) error {
	bad := strings.ContainsFunc(string(text), func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '\\' || r == '"'
	})
	if !strings.HasPrefix(string(text), "/") || strings.HasPrefix(string(text), "//") || bad {
		return fmt.Errorf("path begins with one slash and holds no spaces, and is not %q", text)
	}
	*p = Path(text)
	return nil
}

// problem returns the fault of a rule with valid values, or nothing.
func (r Rule) problem() string {
	names := r
	names.Show, names.Notify, names.Label, names.Scheme, names.Path, names.Pin = "", "", "", "", "", false
	switch {
	case names == Rule{}:
		return "this rule matches everything: give it a port, process, project or directory"
	case names == r:
		return "this rule does nothing: give it show, notify, label, scheme, path or pin"
	}
	return ""
}

// matches reports whether the rule applies to a listener.
func (r Rule) matches(l server.Listener) bool {
	project := l.Facts.Project.Name
	if l.Container.ID != "" {
		project = l.Container.Project
	}
	return r.Port.has(l.Port) && r.Process.name(l.Owner.Name) && r.Project.name(project) &&
		r.Directory.dir(l.Directory())
}

// Rule returns the first rule for a listener, or the zero Rule.
func (s Settings) Rule(l server.Listener) Rule {
	for _, r := range s.Rules {
		if r.matches(l) {
			return r
		}
	}
	return Rule{}
}

// Section returns the section of a listener by the rule. without is its section if the rule does not choose one.
func (r Rule) Section(without server.Section) server.Section {
	switch {
	case r.Show == ShowNever:
		return server.Hidden
	case r.Show == ShowOther:
		return server.Other
	case r.Show == ShowMain, r.Pin:
		return server.Main
	}
	return without
}

// Opens reports whether a browser can open a listener: it may be a web server, or the rule has a scheme or a path.
func (r Rule) Opens(l server.Listener) bool { return l.Web() || r.Scheme != "" || r.Path != "" }

// String returns the rule in one line, as TOML pairs.
func (r Rule) String() string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+" = "+strconv.Quote(value))
		}
	}
	if r.Port != (Ports{}) {
		text, _ := r.Port.MarshalText() // it cannot fail
		add("port", string(text))
	}
	add("process", string(r.Process))
	add("project", string(r.Project))
	add("directory", string(r.Directory))
	add("show", string(r.Show))
	add("notify", string(r.Notify))
	add("label", r.Label)
	add("scheme", string(r.Scheme))
	add("path", string(r.Path))
	if r.Pin {
		parts = append(parts, "pin = true")
	}
	return strings.Join(parts, ", ")
}
