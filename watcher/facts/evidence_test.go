package facts

import (
	"archive/zip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeArchive writes a Java archive. The manifest is its first file, as usual, or comes later.
func writeArchive(t *testing.T, file, manifest string, behind bool) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	add := func(name, contents string) {
		e, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write([]byte(contents)); err != nil {
			t.Fatal(err)
		}
	}
	if behind {
		add("shop/Main.class", strings.Repeat("x", 100))
	}
	add("META-INF/", "")
	add("META-INF/MANIFEST.MF", manifest)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// jarHead is the beginning of an archive by jar(1) of JDK 17. Unlike archive/zip, jar compresses even the empty
// directory at the start.
const jarHead = "PK\x03\x04\x14\x00\x08\x08\x08\x00\x98\xa3w]\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x04\x00ME" +
	"TA-INF/\xfe\xca\x00\x00\x03\x00PK\x07\x08\x00\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00PK\x03\x04\x14\x00" +
	"\x08\x08\x08\x00\x98\xa3w]\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00META-INF/MANIFEST.MF" +
	"\x1d\xcc\xb1\x0a\xc2@\x0c\x00\xd0\xfd\xe0\xfe\xe1\xc6:\x5ch\x07\x11:Z'\xb1k\xf7\xd4\xa65x&\x92\x9c\x88\x7f\xaf" +
	"\xb8\xbd\xe9\x8d(\xbc\x92\xd7<\x919\xab\xf4\xa9\x836\x86\x11Y\xf2P\xd0\xbdOj\x1b\xf8\xd3X\xb6\xd5\xf0Ao\xb5;" +
	"\xcc\xaa\x15\x8a\xe2B\x06\x05_r\xbd\xc1\x19\xed\xf2\x17Y\x0c\x83\x11VZ\xf2\xf1\xf3\x0b\x0f\xd0B\xb7O\xcd\x89fF" +
	"\xd9\xc5\x10\xc3\x17PK\x07\x08\x12O\xe4\x05o\x00\x00\x00w\x00\x00\x00"

// TestInspect has the facts from a file that a command line names: by its path, or relative to the working directory.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	const loader = "Manifest-Version: 1.0\r\nMain-Class: org.springframework.boot.loader.launch.JarLa\r\n uncher\r\nStart-Class: shop.Main\r\n\r\n"
	writeArchive(t, filepath.Join(dir, "boot.jar"), loader, false)
	writeArchive(t, filepath.Join(dir, "behind.jar"), loader, true)
	writeArchive(t, filepath.Join(dir, "thin.jar"),
		"Main-Class: shop.Main\nClass-Path: lib/a.jar lib/spring-boo\n t-3.3.1.jar\n", false)
	writeArchive(t, filepath.Join(dir, "plain.jar"), "Main-Class: shop.Main\n\nName: x\nMain-Class: kafka.Kafka\n",
		false)
	writeArchive(t, filepath.Join(dir, "quarkus.jar"), "Main-Class: io.quarkus.bootstrap.runner.QuarkusEntryPoint\n",
		false)
	for name, contents := range map[string]string{
		"broken.jar":              "PK\x03\x04\x14\x00\x08\x00\x08\x00",
		"jar.jar":                 jarHead,
		"Shop.runtimeconfig.json": `{"runtimeOptions": {"frameworks": [{"name": "Microsoft.NETCore.App"}, {"name": "Microsoft.AspNetCore.App"}]}}`,
		"Tool.runtimeconfig.json": `{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "8.0.0"}}}`,
		"One.runtimeconfig.json":  `{"runtimeOptions": {"framework": {"name": "Microsoft.AspNetCore.App", "version": "8.0.0"}}}`,
		"Bad.runtimeconfig.json":  `{"runtimeOptions": [`,
		"web.py":                  "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(contents), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir.jar"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		line, exe  string
		tool, file string // file in dir
	}{
		{"java -jar boot.jar", "/usr/bin/java", "Spring Boot", "boot.jar"},
		{"java -jar " + filepath.Join(dir, "boot.jar"), "/usr/bin/java", "Spring Boot", "boot.jar"},
		{"java -jar jar.jar", "/usr/bin/java", "Spring Boot", "jar.jar"},
		{"java -jar thin.jar", "/usr/bin/java", "Spring Boot", "thin.jar"},
		{"java -jar quarkus.jar", "/usr/bin/java", "Quarkus", "quarkus.jar"},
		{"java -jar behind.jar", "/usr/bin/java", "", "behind.jar"},
		{"java -jar plain.jar", "/usr/bin/java", "", "plain.jar"},
		{"java -jar broken.jar", "/usr/bin/java", "", "broken.jar"},
		{"java -jar dir.jar", "/usr/bin/java", "", "dir.jar"},
		{"java -jar none.jar", "/usr/bin/java", "", "none.jar"},
		{"java -cp classes:x shop.Main", "/usr/bin/java", "", "classes"},
		{"dotnet Shop.dll --urls x", "/usr/bin/dotnet", "ASP.NET", "Shop.dll"},
		{"dotnet One.dll", "/usr/bin/dotnet", "ASP.NET", "One.dll"},
		{"dotnet Tool.dll", "/usr/bin/dotnet", "", "Tool.dll"},
		{"dotnet Bad.dll", "/usr/bin/dotnet", "", "Bad.dll"},
		{"dotnet build", "/usr/bin/dotnet", "", ""},
		{"./Shop", filepath.Join(dir, "Shop"), "ASP.NET", "Shop"},
		{"./Tool", filepath.Join(dir, "Tool"), "", "Tool"},
		{"python3 -m web", "/usr/bin/python3.11", "", "web.py"},
		{"python3 -m other.web", "/usr/bin/python3.11", "", ""},
		{"python3 -m dir.jar", "/usr/bin/python3.11", "", ""},
		{"python3 web.py", "/usr/bin/python3.11", "", "web.py"},
		{"node /x/node_modules/.bin/nodemon app.js", "/usr/bin/node", "", "app.js"},
		{"node", "/usr/bin/node", "", ""},
	}
	for _, tt := range tests {
		m := newMember(member{args: strings.Split(tt.line, " "), exe: tt.exe, dir: dir})
		m.inspect()
		want := ""
		if tt.file != "" {
			want = filepath.Join(dir, tt.file)
		}
		if got := m.tool(); got.Name != tt.tool || m.file != want {
			t.Errorf("%s: got %+v and the file %q, want %q and %q", tt.line, got, m.file, tt.tool, want)
		}
	}
	m := newMember(member{args: []string{"java", "-jar", "boot.jar"}, exe: "/usr/bin/java"})
	if m.inspect(); m.file != "" || m.tool() != (Tool{}) {
		t.Errorf("without a working directory got %+v", m)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte(jarHead))
	f.Add([]byte("PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x05\x00\x00\x00\x14\x00\x00\x00META-INF/MANIFEST.MFhello"))
	file := filepath.Join(f.TempDir(), "x.jar")
	f.Fuzz(func(t *testing.T, data []byte) {
		contents := manifest(data)
		if len(contents) > max(maxHead, len(data)) {
			t.Errorf("got %d bytes from %d", len(contents), len(data))
		}
		readManifest(contents)
		if archiveCommands(file, nil) != nil {
			t.Error("a file that does not exist holds something")
		}
	})
}
