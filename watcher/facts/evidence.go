package facts

import (
	"bufio"
	"bytes"
	"compress/flate"
	"debug/buildinfo"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"porttray/watcher/owner"
	"porttray/watcher/project"
)

// inspect adds facts from the files of m: the class in a Java archive, the framework of a .NET program, the file of a
// Python module. It reads regular files only, and only their beginning.
func (m *member) inspect() {
	c := m.commands[len(m.commands)-1]
	file := absolute(m.dir, c.file)
	switch {
	case m.isolated:
	case c.module:
		if ownModule(m.dir, c.file) { // Python finds it before an installed one
			m.commands[len(m.commands)-1].name = "./" + c.name
		}
		if file = moduleFile(file); file != "" {
			m.file = file
		}
		return
	case file != "" && c.lang == java && archive(file):
		m.commands = append(m.commands, archiveCommands(file, c.args)...)
	case c.lang == dotnet && strings.HasSuffix(file, ".dll"):
		m.commands = append(m.commands, frameworkCommands(strings.TrimSuffix(file, ".dll"))...)
	case len(m.commands) == 1 && c.lang == native && m.exe != "":
		m.commands = append(m.commands, frameworkCommands(strings.TrimSuffix(m.exe, ".exe"))...)
	}
	switch {
	case c.file != "" && (c.lang != dotnet || strings.HasSuffix(file, ".dll")):
		m.file = file
	case !isLauncher(owner.ProgramName(m.exe)):
		m.file = m.exe
	}
}

// absolute returns the absolute path of a file that was named in dir. It returns nothing if that is unknown.
func absolute(dir, file string) string {
	switch {
	case file == "":
		return ""
	case filepath.IsAbs(file):
		return filepath.Clean(file)
	case os.IsPathSeparator(file[0]): // on Windows such a path lies on the volume of the directory
		return filepath.Clean(filepath.VolumeName(dir) + file)
	case dir == "":
		return ""
	}
	return filepath.Join(dir, file)
}

// moduleFile returns the file or directory of a Python module, or nothing if neither exists. path has no extension.
func moduleFile(path string) string {
	if path == "" {
		return ""
	}
	for _, file := range []string{path + ".py", path} {
		if _, err := os.Lstat(file); err == nil {
			return file
		}
	}
	return ""
}

// ownModule reports whether a Python module lies in dir, where it is run. module is a path without extension. A
// directory without an __init__.py does not count, because Python prefers an installed package.
func ownModule(dir, module string) bool {
	first, _, inside := strings.Cut(module, "/")
	if dir == "" || first == "" {
		return false
	}
	names := []string{first + "/__init__.py"}
	if !inside {
		names = append(names, first+".py")
	}
	return project.HoldsFile(dir, names...)
}

// markOwnProgram renames a person's program that has a tool's name: "air" becomes "./air". A program is the person's if
// the project builds it. It is also if it lies in the project and is neither a server nor in a directory for programs.
// People do keep servers in a project: an unpacked database.
func (m *member) markOwnProgram(p project.Project) {
	c := &m.commands[0]
	known := isTool(c.name) || supervisors[c.name]
	if !known || c.lang != native || c.name != owner.ProgramName(m.exe) || p.Dir == "" {
		return
	}
	path := elements(m.exe)
	inProject := ownFile(m.exe, p.Dir)
	built := len(path) > 3 && strings.HasPrefix(path[len(path)-4], "go-build") // built by go run
	runner := c.tool().Kind != Server && !programDir(path)
	if inProject && (runner || builtIn(p, m.exe)) || (inProject || built) && buildsIn(p, c.name) {
		c.name = "./" + c.name
	}
}

// buildDirs are the directories for a compiler's output.
const buildDirs = "target build debug release obj zig-out _build .build"

// builtIn reports whether a program in the project was built there. It was if it lies in a build directory or beside its
// main file, or if Go built it from the project's module.
func builtIn(p project.Project, exe string) bool {
	rest, _ := filepath.Rel(p.Dir, filepath.Dir(exe))
	compiled := slices.ContainsFunc(elements(rest), func(e string) bool {
		return among(buildDirs, strings.ToLower(e)) || strings.HasPrefix(e, "cmake-build-")
	})
	if compiled || project.HoldsFile(filepath.Dir(exe), "main.go", "main.c", "main.cpp", "main.rs", "main.zig") {
		return true
	}
	module := project.ModulePath(head(filepath.Join(p.Dir, "go.mod"), maxHead))
	if module == "" {
		return false
	}
	info, err := buildinfo.ReadFile(exe)
	return err == nil && info.Main.Path == module
}

// buildsIn reports whether the project's sources build a program of this name, in lower case.
func buildsIn(p project.Project, name string) bool {
	return strings.EqualFold(p.Name, name) && p.Marked() ||
		project.HoldsFile(p.Dir, name+".go", name+"/main.go", "cmd/"+name+"/main.go",
			"src/bin/"+name+".rs", "src/bin/"+name+"/main.rs")
}

// archive reports whether a file name may be that of a Java archive.
func archive(file string) bool {
	return strings.HasSuffix(file, ".jar") || strings.HasSuffix(file, ".war")
}

// archiveCommands returns commands from a Java archive's manifest: libraries of known tools, and the main class.
func archiveCommands(file string, args []string) []command {
	main, libs := readManifest(manifest(head(file, maxHead)))
	var found []command
	for lib := range strings.FieldsSeq(libs) {
		found = appendLibrary(found, lib)
	}
	if main != "" {
		found = append(found, command{lang: java, name: strings.ToLower(main), args: args})
	}
	return found
}

// frameworkCommands returns the framework of a .NET program. path is its file's path without extension.
func frameworkCommands(path string) []command {
	type framework struct{ Name string }
	var config struct {
		RuntimeOptions struct {
			Framework                      framework
			Frameworks, IncludedFrameworks []framework
		}
	}
	if json.Unmarshal(head(path+".runtimeconfig.json", maxHead), &config) != nil {
		return nil
	}
	o := config.RuntimeOptions
	all := slices.Concat(o.Frameworks, o.IncludedFrameworks, []framework{o.Framework})
	if slices.Contains(all, framework{"Microsoft.AspNetCore.App"}) {
		return []command{{lang: dotnet, name: "microsoft.aspnetcore.app"}}
	}
	return nil
}

// maxHead is the limit in bytes for reading one file, and for unpacking from it.
const maxHead = 64 << 10

// head returns the beginning of a regular file, or nothing.
func head(file string, max int64) []byte {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe without a writer would block
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data := make([]byte, min(max, info.Size()))
	n, _ := io.ReadFull(f, data) // a part will do
	return data[:n]
}

// manifest returns META-INF/MANIFEST.MF from the beginning of a Java archive, or nothing. Archives begin with this file
// and its directory, because JarInputStream requires that. So the long list of entries at the end is not needed.
func manifest(data []byte) []byte {
	for range 3 {
		name, contents, rest := firstEntry(data)
		if strings.EqualFold(name, "META-INF/MANIFEST.MF") {
			return contents
		}
		if !strings.HasPrefix(name, "META-INF/") {
			return nil
		}
		data = rest
	}
	return nil
}

// firstEntry returns the first entry of a ZIP archive, as far as it can be unpacked, and the rest of the archive
// (APPNOTE.TXT, 4.3). The length of an entry may follow its contents, in a descriptor with or without a signature.
func firstEntry(data []byte) (name string, contents, rest []byte) {
	const header, descriptor, described, stored, deflated = 30, 12, 1 << 3, 0, 8
	if len(data) < header || string(data[:4]) != "PK\x03\x04" {
		return "", nil, nil
	}
	number := func(at int) int { return int(binary.LittleEndian.Uint16(data[at:])) }
	flags, method, length := number(6), number(8), int(binary.LittleEndian.Uint32(data[18:]))
	end := header + number(26)
	begin := end + number(28)
	if begin > len(data) {
		return "", nil, nil
	}
	name, data = string(data[header:end]), data[begin:]
	switch {
	case method == stored && flags&described == 0:
		length = min(length, len(data))
		return name, data[:length], data[length:]
	case method == deflated:
		packed := bytes.NewReader(data)
		contents, _ = io.ReadAll(io.LimitReader(flate.NewReader(packed), maxHead)) // a part will do
		rest = data[len(data)-packed.Len():]
		if flags&described != 0 {
			rest = bytes.TrimPrefix(rest, []byte("PK\x07\x08"))
			rest = rest[min(descriptor, len(rest)):]
		}
		return name, contents, rest
	}
	return "", nil, nil
}

// readManifest returns a manifest's main class and class path (JAR File Specification). A leading space continues a
// line.
func readManifest(data []byte) (main, classPath string) {
	var key string
	values := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, " "); ok {
			if key != "" {
				values[key] += rest
			}
			continue
		}
		if line == "" {
			break // the sections after it describe single files
		}
		name, value, _ := strings.Cut(line, ": ")
		if key = strings.ToLower(name); key != "main-class" && key != "class-path" {
			key = ""
			continue
		}
		values[key] = value
	}
	return values["main-class"], values["class-path"]
}
