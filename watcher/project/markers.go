package project

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// A marker is a file that makes its directory a project.
type marker struct {
	file string
	max  int64                    // a larger one is not read
	name func(text []byte) string // returns the project's name in the file, or nothing; nil for nameless kinds
}

const (
	small = 64 << 10
	large = 1 << 20
)

// markers are in order of precedence: the first one in a directory decides. A .git comes last, because it has no name.
var markers = []marker{
	{"package.json", large, jsonName},
	{"go.mod", small, modName},
	{"pyproject.toml", large, func(text []byte) string {
		return tomlName(text, []string{"project", "name"}, []string{"tool", "poetry", "name"})
	}},
	{"Cargo.toml", large, func(text []byte) string { return tomlName(text, []string{"package", "name"}) }},
	{"composer.json", large, jsonName},
	{"pom.xml", large, pomName},
	{"settings.gradle", small, gradleName},
	{"settings.gradle.kts", small, gradleName},
	{"deno.json", large, denoName},
	{"deno.jsonc", large, denoName},
	{"mix.exs", small, mixName},
	{"Gemfile", 0, nil},
}

// jsonName returns the name in a package.json or composer.json. Package json limits the depth to 10,000 levels.
func jsonName(text []byte) string {
	var fields map[string]json.RawMessage // a struct would take "Name" too
	var name string
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if json.Unmarshal(text, &fields) != nil || json.Unmarshal(fields["name"], &name) != nil {
		return ""
	}
	return name
}

// denoName returns the name in a deno.json. Such a file may have comments and trailing commas.
func denoName(text []byte) string { return jsonName(withoutTrailingCommas(withoutComments(text, `"`))) }

// withoutComments returns text with spaces in place of // and /* */ comments. quotes are the characters that delimit
// strings. A backslash in a string escapes the next character.
func withoutComments(text []byte, quotes string) []byte {
	out := slices.Clone(text)
	for i := 0; i < len(out); {
		n := 1
		switch rest := out[i:]; {
		case strings.IndexByte(quotes, rest[0]) >= 0:
			n = stringLen(rest)
		case bytes.HasPrefix(rest, []byte("//")):
			n = lenUntil(rest, "\n", 0)
			blank(rest[:n])
		case bytes.HasPrefix(rest, []byte("/*")):
			n = lenUntil(rest, "*/", 2)
			blank(rest[:n])
		}
		i += n
	}
	return out
}

// stringLen returns the length of the string literal at the start of text, quotes included.
func stringLen(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return len(text)
}

// lenUntil returns the length of text up to and with the first end after skip bytes.
func lenUntil(text []byte, end string, skip int) int {
	if i := bytes.Index(text[skip:], []byte(end)); i >= 0 {
		return skip + i + len(end)
	}
	return len(text)
}

// blank overwrites text with spaces, keeping its lines.
func blank(text []byte) {
	for i, c := range text {
		if c != '\n' {
			text[i] = ' '
		}
	}
}

// withoutTrailingCommas returns JSON with spaces in place of commas before the end of an array or object.
func withoutTrailingCommas(text []byte) []byte {
	out := slices.Clone(text)
	comma := -1 // the last token, if it is a comma
	for i := 0; i < len(out); {
		n := 1
		switch c := out[i]; c {
		case ' ', '\t', '\r', '\n':
		case ',':
			comma = i
		case '}', ']':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case '"':
			n = stringLen(out[i:])
			comma = -1
		default:
			comma = -1
		}
		i += n
	}
	return out
}

// ModulePath returns the module path in a go.mod. It is empty if there is none.
func ModulePath(text []byte) string {
	if file, err := modfile.ParseLax("go.mod", text, nil); err == nil && file.Module != nil {
		return file.Module.Mod.Path
	}
	path := modfile.ModulePath(text) // the file may be cut off
	if module.CheckImportPath(path) != nil {
		return ""
	}
	return path
}

// modName returns the last element of a go.mod's module path without the major version (go.dev/ref/mod#go-mod-file).
func modName(text []byte) string { return moduleName(ModulePath(text)) }

var (
	majorElement = regexp.MustCompile(`/v([2-9]|[1-9][0-9]+)$`)
	majorGopkg   = regexp.MustCompile(`\.v[0-9]+(-unstable)?$`)
)

// moduleName returns the last element of a module path. It skips an element for the major version, which belongs to the
// path but not to the name (go.dev/ref/mod#major-version-suffixes).
func moduleName(module string) string {
	version := majorElement
	if strings.HasPrefix(module, "gopkg.in/") {
		version = majorGopkg
	}
	module = version.ReplaceAllString(module, "")
	if name := path.Base(module); name != "." && name != "/" {
		return name
	}
	return ""
}

// tomlName returns the string at the first of keys that has one. It reads one expression after another. toml.Unmarshal
// compares every key with every other, and needs half a minute of CPU for a megabyte of keys.
func tomlName(text []byte, keys ...[]string) string {
	names := make([]string, len(keys))
	var parser unstable.Parser
	parser.Reset(text)
	var table []string
	for parser.NextExpression() {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table:
			table = keyOf(e)
		case unstable.ArrayTable:
			table = []string{""} // keys never name an array of tables
		case unstable.KeyValue:
			for i, key := range keys {
				if name, ok := tomlString(e, table, key); ok {
					names[i] = name
				}
			}
		}
	}
	if i := slices.IndexFunc(names, func(name string) bool { return name != "" }); i >= 0 && parser.Error() == nil {
		return names[i]
	}
	return ""
}

// tomlString returns the string that e gives to key. table is the current table. The string may be in an inline table.
func tomlString(e *unstable.Node, table, key []string) (string, bool) {
	at := append(slices.Clip(table), keyOf(e)...)
	if len(at) > len(key) || !slices.Equal(at, key[:len(at)]) {
		return "", false
	}
	switch value := e.Value(); {
	case len(at) == len(key):
		return string(value.Data), value.Kind == unstable.String
	case value.Kind == unstable.InlineTable:
		for children := value.Children(); children.Next(); {
			if s, ok := tomlString(children.Node(), at, key); ok {
				return s, true
			}
		}
	}
	return "", false
}

// keyOf returns the parts of a table's or value's key, up to four. The keys to find are shorter.
func keyOf(e *unstable.Node) []string {
	var parts []string
	for k := e.Key(); k.Next() && len(parts) < 4; {
		parts = append(parts, string(k.Node().Data))
	}
	return parts
}

// pomName returns the project's artifactId in a pom.xml. It ignores those of the parent, dependencies and plugins.
// Package xml knows only XML's own five entities. Text after the artifactId is not read.
func pomName(text []byte) string {
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = latin1
	var open []string
	var name strings.Builder
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		artifact := slices.Equal(open, []string{"project", "artifactId"})
		switch t := token.(type) {
		case xml.StartElement:
			open = append(open, t.Name.Local)
		case xml.CharData:
			if artifact {
				name.Write(t)
			}
		case xml.EndElement:
			if artifact {
				return unlessComputed(strings.TrimSpace(name.String()))
			}
			open = open[:len(open)-1]
		}
	}
}

// latin1 reads encodings in which each byte is its character's number. It is an xml.Decoder's CharsetReader.
func latin1(encoding string, text io.Reader) (io.Reader, error) {
	switch strings.ToLower(encoding) {
	case "iso-8859-1", "latin1", "us-ascii", "ascii":
	default:
		return nil, fmt.Errorf("read XML in %q: unknown encoding", encoding)
	}
	b, err := io.ReadAll(text)
	if err != nil {
		return nil, err
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return strings.NewReader(string(runes)), nil
}

// unlessComputed returns name, or nothing if it contains variables.
func unlessComputed(name string) string {
	if strings.Contains(name, "$") {
		return ""
	}
	return name
}

var gradleRoot = regexp.MustCompile(`(?m)^[ \t]*rootProject\.name[ \t]*=[ \t]*` +
	`(?:'([^'\\\n]*)'|"([^"\\\n]*)")[ \t\r;]*$`)

// gradleName returns the plain string assigned to rootProject.name in a settings.gradle or settings.gradle.kts.
func gradleName(text []byte) string {
	m := gradleRoot.FindSubmatch(withoutComments(text, `'"`))
	if m == nil {
		return ""
	}
	if m[1] != nil {
		return string(m[1])
	}
	return unlessComputed(string(m[2]))
}

var mixApp = regexp.MustCompile(`(?m)^[^#\n]*\bapp:[ \t]*:([A-Za-z_][A-Za-z0-9_@]*)`)

// mixName returns the application's name in a mix.exs.
func mixName(text []byte) string {
	if m := mixApp.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// gitDir returns the repository named by a .git file in dir, or nothing. It rejects a path to another machine, because
// Windows would connect to it and offer the user's credentials.
func gitDir(dir string, text []byte) string {
	name, ok := strings.CutPrefix(string(text), "gitdir: ")
	name = filepath.FromSlash(strings.TrimRight(name, "\r\n"))
	if !ok || name == "" || strings.ContainsRune(name, 0) {
		return ""
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	if volume := filepath.VolumeName(name); strings.HasPrefix(volume, `\\`) && volume != filepath.VolumeName(dir) {
		return ""
	}
	return filepath.Clean(name)
}

// headBranch returns the branch in a repository's HEAD. A detached HEAD has none. headBranch also ignores invalid
// branch names (git-check-ref-format(1)): with reftables HEAD says ".invalid".
func headBranch(head []byte) string {
	ref, ok := strings.CutPrefix(string(head), "ref:")
	branch, ok2 := strings.CutPrefix(strings.TrimSpace(ref), "refs/heads/")
	if !ok || !ok2 || strings.HasPrefix(branch, ".") || strings.Contains(branch, "/.") {
		return ""
	}
	return branch
}

// HoldsFile reports whether dir has a regular file at one of these slash-separated paths.
func HoldsFile(dir string, paths ...string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path)))
		return err == nil && info.Mode().IsRegular()
	})
}

// Marked reports whether the project's directory holds one of markers.
func (p Project) Marked() bool {
	return slices.ContainsFunc(markers, func(m marker) bool { return HoldsFile(p.Dir, m.file) })
}
