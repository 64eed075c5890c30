package facts

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"porttray/watcher/owner"
	"porttray/watcher/project"
)

// maxProgram is the limit of Facts.Program, in bytes.
const maxProgram = 256

// programOf returns Facts.Program for a lineage. An interpreter's worker may have only code in its arguments. Then it
// runs the same program as the nearest ancestor in that language.
func programOf(line []member, projectDir string) string {
	program, bare := line[0].program(projectDir)
	for _, m := range line[1:] {
		if !bare {
			break
		}
		if m.language() != line[0].language() {
			continue
		}
		if p, nothing := m.program(projectDir); !nothing {
			program, bare = p, false
		}
	}
	if len(program) > maxProgram { // the end says most
		program = strings.ToValidUTF8(program[len(program)-maxProgram:], "")
	}
	if owner.Printable(program, 0) == "" {
		return ""
	}
	return strings.Clone(program) // it may be part of a long command line
}

// language returns the language of an interpreter, or nothing for other programs.
func (m member) language() string { return launchers[withoutVersion(m.commands[0].name)].lang }

// program returns the process's own program. It is empty for a tool and for a process that has renamed itself. bare
// says that it is an interpreter without a file.
func (m member) program(projectDir string) (program string, bare bool) {
	at := len(m.commands) - 1
	for at > 0 && m.commands[at].called == "" && m.commands[at].file == "" {
		at--
	}
	first, c := m.commands[0], m.commands[at]
	switch {
	case c.tool().Kind != 0:
		return "", false
	case at == 0 && isLauncher(c.name):
		return c.called, true
	case at == 0 && m.renamed():
		return "", false
	case at == 0:
		return m.ownProgram(projectDir), false
	case c.called != "":
		return c.called, false
	case strings.HasPrefix(c.name, "./") && !m.isScript(c.file):
		return first.called, true
	}
	if script := m.script(c, projectDir); script != "." { // "node ." runs the package's main file
		return script, false
	}
	return first.called, true
}

var extension = regexp.MustCompile(`\.[A-Za-z][A-Za-z0-9_]{0,7}$`)

// isScript reports whether an interpreter's supposed file is a script. It may be an unknown option's value, even a
// secret.
func (m member) isScript(file string) bool {
	if strings.Contains(file, "://") {
		return m.commands[0].name == "deno"
	}
	if extension.MatchString(owner.LastElement(file)) {
		return true
	}
	file = absolute(m.dir, file)
	for _, ext := range []string{"", ".js", ".mjs", ".cjs", ".ts"} { // Node.js adds them
		if _, err := os.Lstat(file + ext); err == nil && file != "" {
			return true
		}
	}
	return false
}

// script returns the path of a script or an archive, or the name of an installed script.
func (m member) script(c command, projectDir string) string {
	path := elements(c.file)
	switch isArchive := archive(c.file); {
	case strings.Contains(c.file, "://"):
		return owner.CalledAs(c.file)
	case !isArchive && !strings.HasPrefix(c.name, "./") && len(path) > 0 && lastPackages(path) >= 0:
		return c.name
	case !isArchive && !strings.HasPrefix(c.name, "./"):
		return owner.CalledAs(c.file)
	case isArchive || strings.HasSuffix(c.file, ".dll"):
		file := m.within(c.file, projectDir)
		base := strings.LastIndexByte(file, '/') + 1
		return withoutGenericDirs(file[:base] + unversioned(file[base:]))
	}
	return m.within(c.file, projectDir)
}

// ownProgram returns the path of a program in the project, or the name of any other program.
func (m member) ownProgram(projectDir string) string {
	name := m.commands[0].called
	if ownFile(m.exe, projectDir) {
		name = strings.TrimSuffix(withoutGenericDirs(m.within(m.exe, projectDir)), ".exe")
	}
	if name == "" {
		name = strings.TrimSuffix(m.name, ".exe")
	}
	// Delve adds a new number to the program at each build.
	if rest := strings.TrimRight(name, "0123456789"); strings.HasSuffix(rest, "__debug_bin") {
		return rest
	}
	return name
}

// renamed reports whether the process has given itself another name than its program's. Linux cuts off both after 15
// bytes. Such a name may hold slashes and is not a path.
func (m member) renamed() bool {
	if m.name == "" || owner.IsThreadName(m.name) || len(m.args) == 0 {
		return false
	}
	if strings.Contains(m.name, "/") && !strings.ContainsRune("/.", rune(m.name[0])) { // a program's name has no slash
		return true
	}
	names := []string{m.args[0], owner.LastElement(m.args[0]), owner.LastElement(m.exe)}
	return !slices.ContainsFunc(names, func(known string) bool {
		return strings.HasPrefix(known, m.name) || strings.HasPrefix(m.name, known) && known != ""
	})
}

// within returns a file's path with slashes, relative to the project's directory if it lies there.
func (m member) within(file, projectDir string) string {
	if full := absolute(m.dir, file); full != "" {
		file = full
	}
	file = filepath.Clean(file)
	if rest, err := filepath.Rel(projectDir, file); err == nil && projectDir != "" && filepath.IsLocal(rest) {
		file = rest
	}
	return strings.ReplaceAll(file, `\`, "/")
}

// withoutGenericDirs returns a path within a project without the directories that builds make.
func withoutGenericDirs(path string) string {
	if strings.HasPrefix(path, "/") || strings.Contains(path, ":") {
		return path
	}
	words := strings.Split(path, "/")
	kept := words[:0]
	for i, w := range words {
		if i == len(words)-1 || !project.IsGenericName(w) {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, "/")
}
