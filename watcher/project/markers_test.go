package project

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// parsers holds the parsers of markers by the name in the tests and fuzz tests.
var parsers = map[string]func([]byte) string{
	"package.json": jsonName, "deno.jsonc": denoName, "go.mod": modName, "pom.xml": pomName,
	"settings.gradle.kts": gradleName,
	"mix.exs":             mixName,
	"pyproject.toml":      parserOf("pyproject.toml"), "Cargo.toml": parserOf("Cargo.toml"),
}

// parserOf returns the parser for marker files of this name.
func parserOf(file string) func([]byte) string {
	for _, m := range markers {
		if m.file == file {
			return m.name
		}
	}
	return nil
}

func TestMarkerFiles(t *testing.T) {
	want := map[string]string{
		"package.json": "@acme/shop", "deno.jsonc": "@acme/edge", "pom.xml": "billing",
		"settings.gradle.kts": "storefront",
		"mix.exs":             "chat", "poetry.pyproject.toml": "warehouse-api", "Cargo.toml": "ingest",
	}
	for file, want := range want {
		text := markerFile(t, file)
		if got := parsers[strings.TrimPrefix(file, "poetry.")](text); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
}

func markerFile(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "markers", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestMarkerNames(t *testing.T) {
	tests := []struct {
		name, file, text, want string
	}{
		{"byte order mark", "package.json", "\ufeff{\"name\": \"shop\"}", "shop"},
		{"escapes", "package.json", `{"name": "a\u001b[31m\"\n"}`, "a\x1b[31m\"\n"},
		{"no name", "package.json", `{"version": "1.0.0"}`, ""},
		{"name in other case only", "package.json", `{"NAME": "shop"}`, ""},
		{"name within something else", "package.json", `{"scripts": {"name": "shop"}}`, ""},
		{"null", "package.json", `{"name": null}`, ""},
		{"number", "package.json", `{"name": 5}`, ""},
		{"list", "package.json", `{"name": ["shop"]}`, ""},
		{"not an object", "package.json", `["name", "shop"]`, ""},
		{"empty", "package.json", "", ""},
		{"cut off", "package.json", `{"name": "shop"`, ""},
		{"something behind", "package.json", `{"name": "shop"} x`, ""},
		{"comment", "package.json", "{\"name\": \"shop\"} // not in JSON", ""},
		{"invalid UTF-8", "package.json", "{\"name\": \"a\xffb\"}", "a\ufffdb"},
		{"hostile nesting", "package.json", `{"name": "shop", "a": ` + strings.Repeat("[", 1<<20), ""},
		{"deep but closed", "package.json",
			`{"a": ` + strings.Repeat("[", 1<<18) + strings.Repeat("]", 1<<18) + `, "name": "shop"}`, ""},

		{"plain JSON", "deno.jsonc", `{"name": "edge"}`, "edge"},
		{"commas in strings", "deno.jsonc", `{"name": "a,}b,]", }`, "a,}b,]"},
		{"comment signs in strings", "deno.jsonc", `{"a": "\"//", "name": "/*x*/"}`, "/*x*/"},
		{"comment without an end", "deno.jsonc", `{"name": "edge"} /* and so on`, "edge"},
		{"shortest comment", "deno.jsonc", `/**/{"name": "edge"}/*/*/`, "edge"},
		{"comment between comma and end", "deno.jsonc", "{\"name\": \"edge\", // last\n/* really */\n}", "edge"},
		{"string without an end", "deno.jsonc", `{"name": "edge\`, ""},

		{"element", "go.mod", "module example.com/acme/shop\n\ngo 1.26\n", "shop"},
		{"one element", "go.mod", "module porttray", "porttray"},
		{"domain", "go.mod", "module example.com", "example.com"},
		{"major version", "go.mod", "module example.com/acme/shop/v2\n", "shop"},
		{"major version 11", "go.mod", "module example.com/acme/shop/v11\n", "shop"},
		{"no major version", "go.mod", "module example.com/acme/v1\n", "v1"},
		{"nor this", "go.mod", "module example.com/acme/v02\n", "v02"},
		{"nothing but a version", "go.mod", "module v2\n", "v2"},
		{"gopkg.in", "go.mod", "module gopkg.in/yaml.v3\n", "yaml"},
		{"gopkg.in with an owner", "go.mod", "module gopkg.in/acme/shop.v0-unstable\n", "shop"},
		{"such a name elsewhere", "go.mod", "module example.com/yaml.v3\n", "yaml.v3"},
		{"quoted", "go.mod", "module \"example.com/acme/shop\" // the shop\r\n", "shop"},
		{"in backquotes", "go.mod", "module `example.com/acme/shop`", "shop"},
		{"comments first", "go.mod", "// module a\n\n\t// module b\nmodule  c // module d\n", "c"},
		{"block", "go.mod", "module (\n\texample.com/shop // this\n)\n", "shop"},
		{"empty block", "go.mod", "module (\n)\n", ""},
		{"no module", "go.mod", "go 1.26\nrequire module v1.0.0\n", ""},
		{"too many words", "go.mod", "module a b\n", ""},
		{"no path", "go.mod", "module /\n", ""},
		{"dot", "go.mod", "module .\n", ""},
		{"quotes alone", "go.mod", "module \"\"\n", ""},

		{"project", "pyproject.toml", "[project]\nname = 'api'\n", "api"},
		{"project before poetry", "pyproject.toml", "[tool.poetry]\nname = 'old'\n[project]\nname = 'api'\n", "api"},
		{"poetry when the project has no name", "pyproject.toml",
			"[project]\nversion = '1'\n[tool.poetry]\nname = 'api'\n", "api"},
		{"dotted keys", "pyproject.toml", "project.name = \"api\"\n", "api"},
		{"dotted table", "pyproject.toml", "[tool]\npoetry.name = \"api\"\n", "api"},
		{"quoted keys", "pyproject.toml", "[\"tool\" . 'poetry']\n\"name\" = \"api\"\n", "api"},
		{"a dot in a key", "pyproject.toml", "[\"tool.poetry\"]\nname = \"api\"\n", ""},
		{"braces", "pyproject.toml", "tool = { x = 1, poetry = { name = \"api\" } }\n", "api"},
		{"escapes", "pyproject.toml", "project.name = \"a\\u001b[31m\"\n", "a\x1b[31m"},
		{"table below", "pyproject.toml", "[project.urls]\nname = \"api\"\n", ""},
		{"key below", "pyproject.toml", "[project]\nname.first = \"api\"\n", ""},
		{"list of tables", "pyproject.toml", "[[project]]\nname = \"api\"\n", ""},
		{"other case", "pyproject.toml", "[Project]\nName = \"api\"\n", ""},
		{"number", "pyproject.toml", "[project]\nname = 5\n", ""},
		{"tools only", "pyproject.toml", "[tool.ruff]\nline-length = 120\n", ""},
		{"broken further down", "pyproject.toml", "[project]\nname = 'api'\n[tool", ""},
		{"invalid UTF-8", "pyproject.toml", "[project]\nname = \"a\xffb\"\n", ""},
		{"hostile nesting", "pyproject.toml", "project.name = 'api'\na = " + strings.Repeat("[", 1<<20), ""},
		{"hostile braces", "pyproject.toml", "project = " + strings.Repeat("{name = ", 1<<17), ""},
		{"hostile key", "pyproject.toml", strings.Repeat("a.", 1<<19) + "a = 1\nproject.name = 'api'", "api"},
		{"hostile number of keys", "pyproject.toml", strings.Repeat("a = 1\n", 1<<17) + "project.name = 'api'", "api"},
		{"empty", "pyproject.toml", "", ""},

		{"workspace without a package", "Cargo.toml",
			"[workspace]\nmembers = ['a']\n[workspace.package]\nname = 'not-this'\n", ""},
		{"inherited", "Cargo.toml", "[package]\nname.workspace = true\n", ""},

		{"bare", "pom.xml", "<project><artifactId>billing</artifactId></project>", "billing"},
		{"space", "pom.xml", "<project><artifactId>\n  billing\t</artifactId></project>", "billing"},
		{"comment within", "pom.xml", "<project><artifactId>bil<!-- x -->ling</artifactId></project>", "billing"},
		{"CDATA", "pom.xml", "<project><artifactId><![CDATA[billing]]></artifactId></project>", "billing"},
		{"prefixed", "pom.xml",
			"<m:project xmlns:m='http://maven.apache.org/POM/4.0.0'><m:artifactId>billing</m:artifactId></m:project>",
			"billing"},
		{"Latin-1", "pom.xml",
			"<?xml version='1.0' encoding='ISO-8859-1'?><!-- \xa9 --><project><artifactId>b\xfcro</artifactId></project>", "büro"},
		{"unknown encoding", "pom.xml",
			"<?xml version='1.0' encoding='EBCDIC'?><project><artifactId>billing</artifactId></project>", ""},
		{"invalid UTF-8", "pom.xml", "<project><artifactId>b\xfcro</artifactId></project>", ""},
		{"variable", "pom.xml", "<project><artifactId>billing-${scala.version}</artifactId></project>", ""},
		{"the parent's only", "pom.xml", "<project><parent><artifactId>billing</artifactId></parent></project>", ""},
		{"something else", "pom.xml", "<settings><artifactId>billing</artifactId></settings>", ""},
		{"element within", "pom.xml", "<project><artifactId>bil<b>l</b>ing</artifactId></project>", "biling"},
		{"entities", "pom.xml", "<!DOCTYPE p [<!ENTITY a \"b\"><!ENTITY x SYSTEM \"file:///etc/passwd\">]>" +
			"<project><artifactId>&x;&a;</artifactId></project>", ""},
		{"entities of XML", "pom.xml", "<project><artifactId>a&amp;&#98;</artifactId></project>", "a&b"},
		{"cut off", "pom.xml", "<project><artifactId>bil", ""},
		{"crossed", "pom.xml", "<project><parent></project><artifactId>billing</artifactId>", ""},
		{"hostile nesting", "pom.xml", strings.Repeat("<a>", 1<<18), ""},
		{"empty", "pom.xml", "", ""},

		{"Groovy", "settings.gradle.kts", "rootProject.name = 'shop'\n", "shop"},
		{"no spaces", "settings.gradle.kts", "rootProject.name=\"shop\";\r\n", "shop"},
		{"dollar between single quotes", "settings.gradle.kts", "rootProject.name = 'a$b'\n", "a$b"},
		{"variable", "settings.gradle.kts", "rootProject.name = \"shop-$flavour\"\n", ""},
		{"sum", "settings.gradle.kts", "rootProject.name = 'shop' + suffix\n", ""},
		{"escape", "settings.gradle.kts", "rootProject.name = 'a\\'b'\n", ""},
		{"comment behind", "settings.gradle.kts", "rootProject.name = 'shop' // 'not this'", "shop"},
		{"only included", "settings.gradle.kts", "include ':app'\n", ""},

		{"one line", "mix.exs", "def project, do: [app: :chat, version: \"1\"]", "chat"},
		{"umbrella", "mix.exs", "[apps_path: \"apps\", start_permanent: true]", ""},
		{"no atom", "mix.exs", "[app: name()]", ""},
		{"other key", "mix.exs", "[my_app: :chat]", ""},
	}
	for _, tt := range tests {
		t.Run(tt.file+"/"+tt.name, func(t *testing.T) {
			if got := parsers[tt.file]([]byte(tt.text)); got != tt.want {
				t.Errorf("%.200q: got %q, want %q", tt.text, got, tt.want)
			}
		})
	}
}

func TestHeadBranch(t *testing.T) {
	tests := []struct{ head, want string }{
		{"ref: refs/heads/main\n", "main"},
		{"ref: refs/heads/feature/x/y\n", "feature/x/y"},
		{"ref:refs/heads/main", "main"},
		{"ref:\t refs/heads/main \r\n", "main"},
		{"ref: refs/heads/žluťoučký\n", "žluťoučký"},
		{"4b825dc642cb6eb9a060e54bf8d69288fbee4904\n", ""},
		{"ref: refs/heads/.invalid\n", ""},
		{"ref: refs/heads/a/.b\n", ""},
		{"ref: refs/remotes/origin/main\n", ""},
		{"ref: refs/heads/\n", ""},
		{"refs/heads/main\n", ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := headBranch([]byte(tt.head)); got != tt.want {
			t.Errorf("headBranch(%q) = %q, want %q", tt.head, got, tt.want)
		}
	}
}

func TestGitDir(t *testing.T) {
	dir := t.TempDir()
	abs := filepath.Join(t.TempDir(), "shop.git")
	tests := []struct{ text, want string }{
		{"gitdir: " + abs + "\n", abs},
		{"gitdir: " + abs, abs},
		{"gitdir: " + abs + "\r\n", abs},
		{"gitdir: ../.git/modules/lib\n", filepath.Join(filepath.Dir(dir), ".git", "modules", "lib")},
		{"gitdir: a b/c\n", filepath.Join(dir, "a b", "c")},
		{"gitdir: ", ""},
		{"gitdir:" + abs, ""},
		{"gitdir: a\x00b\n", ""},
		{abs, ""},
		{"", ""},
	}
	for _, tt := range tests {
		if got := gitDir(dir, []byte(tt.text)); got != tt.want {
			t.Errorf("gitDir(%q, %q) = %q, want %q", dir, tt.text, got, tt.want)
		}
	}
}

func TestShortName(t *testing.T) {
	tests := []struct{ name, want string }{
		{"shop", "shop"},
		{" shop\n", " shop\n"},
		{"a\x1b[31m\u202eb\xff", "a\x1b[31m\u202eb\xff"},
		{"", ""},
		{" \t\n\u2028\u200b", ""},
		{strings.Repeat("a", 128), strings.Repeat("a", 128)},
		{strings.Repeat("a", 129), strings.Repeat("a", 128)},
		{"a" + strings.Repeat("ä", 64), "a" + strings.Repeat("ä", 63)},
		{strings.Repeat("a", 125) + "🐘", strings.Repeat("a", 125)},
		{strings.Repeat("\x80", 500), strings.Repeat("\x80", 124)},
	}
	for _, tt := range tests {
		if got := ShortName(tt.name); got != tt.want {
			t.Errorf("shortName(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// fuzzName fuzzes a parser of marker files with the files in testdata and with hostile texts.
func fuzzName(f *testing.F, parse func([]byte) string, seeds ...string) {
	f.Helper()
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		name := parse(text)
		if string(text) != before {
			t.Errorf("%q was changed to %q", before, text)
		}
		if short := ShortName(name); len(short) > maxName || !strings.HasPrefix(name, short) {
			t.Errorf("%q: the name %q is shortened to %q", text, name, short)
		}
	})
}

func FuzzJSONName(f *testing.F) {
	fuzzName(f, jsonName, string(markerFile(f, "package.json")), `{"name":"a","name":"b"}`,
		"\ufeff{\"name\":\"\\ud800\"}", "[[[[")
}

func FuzzDenoName(f *testing.F) {
	fuzzName(f, denoName, string(markerFile(f, "deno.jsonc")), `{"name":"a",/*,]*/}`, `{"a\`, `/*/`, `//`, `,,]`)
}

func FuzzModName(f *testing.F) {
	fuzzName(f, modName, "module example.com/shop/v2\n", "module (\n`a`\n)", "module gopkg.in/yaml.v3",
		"module \"\\xff\"", "module //")
}

func FuzzProjectTOML(f *testing.F) {
	fuzzName(f, parserOf("pyproject.toml"), string(markerFile(f, "poetry.pyproject.toml")), "project = {name = 'a'}",
		"[project]\nname = \"\\U0010ffff\"",
		"[[project]]\nname = ''", "tool = {poetry = {name = {}}}", "a = [[[[")
}

func FuzzCargoTOML(f *testing.F) {
	fuzzName(f, parserOf("Cargo.toml"), string(markerFile(f, "Cargo.toml")), "package.name = '''a\n'''",
		"package.name = 1979-05-27", "[package")
}

func FuzzPOMName(f *testing.F) {
	fuzzName(f, pomName, string(markerFile(f, "pom.xml")), "<project><artifactId>&a;",
		"<?xml version='1.0' encoding='latin1'?><project>\xff",
		"<a></b>", "<project/><artifactId>")
}

func FuzzGradleName(f *testing.F) {
	fuzzName(f, gradleName, string(markerFile(f, "settings.gradle.kts")), "rootProject.name = 'a'",
		"rootProject.name = \"$a\"", "/*'", "'\\")
}

func FuzzMixName(f *testing.F) {
	fuzzName(f, mixName, string(markerFile(f, "mix.exs")), "app: :a", "# app: :a\napp:\t:_@")
}

func FuzzGitFiles(f *testing.F) {
	f.Add("ref: refs/heads/main\n", "gitdir: ../x\n")
	f.Add("ref:\xff refs/heads/a\x00b", "gitdir: \\\\host\\share\n")
	f.Add("4b825dc642cb6eb9a060e54bf8d69288fbee4904", "gitdir: /\r\n\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, head, text string) {
		if branch := headBranch([]byte(head)); branch != "" && !strings.Contains(head, "refs/heads/"+branch) {
			t.Errorf("%q: got the branch %q", head, branch)
		}
		if got := gitDir(dir, []byte(text)); got != "" && (!filepath.IsAbs(got) || filepath.Clean(got) != got) {
			t.Errorf("%q: got the repository %q", text, got)
		}
	})
}

func BenchmarkMarkerNames(b *testing.B) {
	for _, file := range []string{"package.json", "deno.jsonc", "pom.xml", "settings.gradle.kts", "mix.exs",
		"poetry.pyproject.toml", "Cargo.toml"} {
		b.Run(file, func(b *testing.B) {
			text, parse := markerFile(b, file), parsers[strings.TrimPrefix(file, "poetry.")]
			b.ReportAllocs()
			for b.Loop() {
				parse(text)
			}
		})
	}
}
