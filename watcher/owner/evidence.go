package owner

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
)

// inspect adds what the files that a process runs tell beyond its command line: the class in a Java archive, the framework of
// a .NET program, the file of a Python module. Only regular files are read, and no more than the beginning of one.
func (m *member) inspect() {
	c := m.commands[len(m.commands)-1]
	file := absolute(m.dir, c.file)
	switch {
	case m.isolated:
	case c.module:
		if ownModule(m.dir, c.file) { // which Python finds before an installed one
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
	case !isLauncher(programName(m.exe)):
		m.file = m.exe
	}
}

// absolute returns the path of a file that was named in dir, or nothing if that is not known.
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

// moduleFile returns the file or the directory of a Python module by its path without extension, or nothing if neither exists.
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

// ownModule reports whether a Python module, by its path without extension, lies in the directory where it is run. A
// directory without an __init__.py does not count: an installed package goes before it.
func ownModule(dir, module string) bool {
	first, _, inside := strings.Cut(module, "/")
	if dir == "" || first == "" {
		return false
	}
	names := []string{first + "/__init__.py"}
	if !inside {
		names = append(names, first+".py")
	}
	return holdsFile(dir, names...)
}

// holdsFile reports whether there is a regular file in dir by one of these paths with slashes.
func holdsFile(dir string, paths ...string) bool {
	return slices.ContainsFunc(paths, func(path string) bool {
		info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path)))
		return err == nil && info.Mode().IsRegular()
	})
}

// disown gives a program of the person's own that has a tool's name the name of a file: "./air". It is one if it lies
// in the project, and was built there or is a tool that is not kept there. A server may be kept there: a database that
// somebody unpacked.
func (m *member) markOwnProgram(p Project) {
	c := &m.commands[0]
	known := isTool(c.name) || supervisors[c.name]
	if !known || c.lang != native || c.name != programName(m.exe) || p.Dir == "" {
		return
	}
	path := elements(m.exe)
	inProject := ownFile(m.exe, p.Dir)
	built := len(path) > 3 && strings.HasPrefix(path[len(path)-4], "go-build") // by go run
	runner := c.tool().Kind != Server && !programDir(path)
	if inProject && (runner || p.built(m.exe)) || (inProject || built) && p.builds(c.name) {
		c.name = "./" + c.name
	}
}

// buildDirs are the directories in which compilers put programs.
const buildDirs = "target build debug release obj zig-out _build .build"

// built reports whether a program in the project was built there: where a compiler puts it, beside its main file, or by Go
// from the module of the project.
func (p Project) built(exe string) bool {
	rest, _ := filepath.Rel(p.Dir, filepath.Dir(exe))
	compiled := slices.ContainsFunc(elements(rest), func(e string) bool {
		return among(buildDirs, strings.ToLower(e)) || strings.HasPrefix(e, "cmake-build-")
	})
	if compiled || holdsFile(filepath.Dir(exe), "main.go", "main.c", "main.cpp", "main.rs", "main.zig") {
		return true
	}
	module := modulePath(head(filepath.Join(p.Dir, "go.mod"), small))
	if module == "" {
		return false
	}
	info, err := buildinfo.ReadFile(exe)
	return err == nil && info.Main.Path == module
}

// builds reports whether a program of this name, in lower case, is built from the sources of the project.
func (p Project) builds(name string) bool {
	for _, m := range markers {
		if strings.EqualFold(p.Name, name) && holdsFile(p.Dir, m.file) {
			return true
		}
	}
	return holdsFile(p.Dir, name+".go", name+"/main.go", "cmd/"+name+"/main.go",
		"src/bin/"+name+".rs", "src/bin/"+name+"/main.rs")
}

// archive reports whether a file may be a Java archive by its name.
func archive(file string) bool {
	return strings.HasSuffix(file, ".jar") || strings.HasSuffix(file, ".war")
}

// archiveCommands returns what is known of a Java archive by its manifest: the libraries that tell a tool, and its main class.
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

// frameworkCommands returns the framework of a .NET program by the path of its files without extension.
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
	if slices.Contains(slices.Concat(o.Frameworks, o.IncludedFrameworks, []framework{o.Framework}), framework{"Microsoft.AspNetCore.App"}) {
		return []command{{lang: dotnet, name: "microsoft.aspnetcore.app"}}
	}
	return nil
}

// maxHead bounds the bytes that are read of one file, and the bytes that are unpacked from it.
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
	n, _ := io.ReadFull(f, data) // what was read counts
	return data[:n]
}

// manifest returns META-INF/MANIFEST.MF from the beginning of a Java archive, or nothing. Archives begin with it and its
// directory, because JarInputStream would not find it elsewhere; so the list at their end, which may hold thousands of entries,
// is not needed.
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

// firstEntry returns the entry that a ZIP archive begins with, as far as it can be unpacked, and the archive behind it
// (APPNOTE.TXT, 4.3). Its length may stand behind its contents, in a descriptor with or without a signature.
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
		contents, _ = io.ReadAll(io.LimitReader(flate.NewReader(packed), maxHead)) // what was unpacked counts
		rest = data[len(data)-packed.Len():]
		if flags&described != 0 {
			rest = bytes.TrimPrefix(rest, []byte("PK\x07\x08"))
			rest = rest[min(descriptor, len(rest)):]
		}
		return name, contents, rest
	}
	return "", nil, nil
}

// readManifest reads the main class and the class path of a manifest (JAR File Specification). A line that begins with a space
// continues the one before.
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
			break // the sections behind are about single files
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
