package facts

import (
	"slices"
	"strings"

	"porttray/watcher/owner"
	"porttray/watcher/project"
)

// A command is one program of a command line. A line may hold several: "npx vite" holds npx and Vite.
type command struct {
	lang string // of the interpreter that runs it; empty for a program that runs by itself
	// name is the program's, without directory and extension, in lower case. The name of a script that was not
	// installed begins with "./" and keeps the extension, because anybody may name their script vite.js.
	name   string
	args   []string
	file   string // the file that an interpreter runs, as it was given
	module bool   // file is a Python module without its extension
	// called is the usual name of the program, module or class, in its original case. It is empty for a script or an
	// archive, because file names those. It is also empty for an entry that only adds a fact about another command.
	called string
}

// The languages of tools, and a value for commands in an unknown language.
const (
	native  = ""
	node    = "node"
	python  = "python"
	ruby    = "ruby"
	php     = "php"
	java    = "java"
	dotnet  = "dotnet"
	shell   = "shell"
	other   = "other"
	anyLang = "any" // run by a launcher, or a process that has renamed itself
)

// maxDepth bounds how many launchers are seen through.
const maxDepth = 8

// unwrap returns the commands in a command line, the outermost first. An empty exe means an unknown program path.
func unwrap(args []string, exe string) []command {
	var line []command
	for found := []command{firstCommand(args, exe)}; len(found) > 0 && len(line) < maxDepth; {
		line = append(line, found...)
		found = line[len(line)-1].runs()
	}
	return line
}

// firstCommand derives the outermost command from the arguments and the program of a process. Some programs write a
// title over their arguments. Then the only argument has several words: "nginx: master process nginx -g daemon off;".
func firstCommand(args []string, exe string) command {
	self := owner.ProgramName(exe)
	titled := owner.IsTitle(args, exe)
	if titled {
		args = strings.Fields(args[0])
	}
	if len(args) == 0 {
		return command{name: self, called: owner.CalledAs(exe)}
	}
	c := command{name: owner.ProgramName(args[0]), args: args[1:], called: owner.CalledAs(args[0])}
	if strings.HasPrefix(args[0], "/proc/") && exe != "" { // it started itself again
		c.called = owner.CalledAs(exe)
	}
	switch {
	case self == "busybox", self == "toybox":
		c.lang = other // its httpd is not Apache
	case slices.ContainsFunc(toolNames[self], func(h hint) bool { return h.lang == native && h.Kind != Runner }):
		c.name = self // mysqld may be a link to mariadbd
	case titled:
		c.lang = anyLang
	case exe == "", self == c.name:
	case len(args) > 1 && !isTool(c.name) && !isLauncher(c.name) && isLauncher(self):
		c.name = self
	default:
		c.lang = anyLang
	}
	return c
}

// titleProjects maps programs to the brackets around the project's name at the end of their title.
var titleProjects = map[string]string{"puma": "[]", "ng": "()"}

// titleProject returns the project in a process's title, or nothing: "puma 6.4.2 (tcp://localhost:3000) [shop]".
func (m member) titleProject() string {
	around, ok := titleProjects[m.commands[0].name]
	if !ok || !owner.IsTitle(m.args, m.exe) {
		return ""
	}
	title := strings.TrimSpace(m.args[0])
	begin := strings.LastIndexByte(title, around[0])
	if begin < 0 || title[len(title)-1] != around[1] {
		return ""
	}
	return project.ShortName(title[begin+1 : len(title)-1])
}

// runs returns the commands that c runs, the outermost first. Only launchers and interpreters have any.
func (c command) runs() []command {
	switch name := withoutVersion(c.name); {
	case name == "java" || name == "javaw":
		return javaCommands(c.args)
	case shells[name]:
		return shellCommands(name, c.args)
	case name == "beam.smp": // of Erlang; Elixir's own arguments come last
		if at := slices.Index(c.args, "-extra"); at >= 0 {
			return launchers["elixir"].commands(c.args[at+1:])
		}
		return nil
	default:
		l, ok := launchers[name]
		if !ok {
			return nil
		}
		return l.commands(c.args)
	}
}

// isLauncher reports whether a program of this name runs others.
func isLauncher(name string) bool {
	name = withoutVersion(name)
	_, ok := launchers[name]
	return ok || shells[name] || name == "java" || name == "beam.smp"
}

// commands returns the commands that the launcher runs with these arguments.
func (l launcher) commands(args []string) []command {
	seen := l.verbs == "" // the verb
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := args[min(i+1, len(args)):]
		option, inOne, hasValue := strings.Cut(a, "=")
		switch {
		case a == "--" && (seen || l.bare):
			return l.named(value)
		case among(l.inline, a) || l.cluster && cluster(a, 'c'):
			return nil
		case among(l.line, a) && len(value) > 0:
			return commandsIn(value[0])
		case among(l.module, a) || l.cluster && cluster(a, 'm'):
			return moduleCommand(l.lang, value)
		case among(l.start, a):
			return l.named(value)
		case hasValue && among(l.start, option):
			return l.named([]string{inOne})
		case among(l.values, a):
			i++
		case strings.HasPrefix(a, "-") || l.assigns && strings.ContainsRune(a, '='):
		case !seen && among(l.verbs, a):
			seen = true
		case !seen && !l.bare:
			return nil
		default:
			return l.named(args[min(i+l.skip, len(args)):])
		}
	}
	return nil
}

// named returns the command that begins with its own name.
func (l launcher) named(args []string) []command {
	if len(args) == 0 || l.scripts && among(projectScripts, args[0]) {
		return nil
	}
	if l.files || scriptExtension(args[0]) != "" {
		lang := l.lang
		if lang == "" {
			lang = anyLang
		}
		return []command{{lang: lang, name: scriptName(args[0]), args: args[1:], file: args[0]}}
	}
	return []command{{lang: anyLang, name: calledName(args[0]), args: args[1:], called: owner.CalledAs(args[0])}}
}

// moduleCommand returns the first argument as a command: a module for Python's -m, a script on the PATH for Ruby's -S.
func moduleCommand(lang string, args []string) []command {
	if len(args) == 0 {
		return nil
	}
	c := command{lang: lang, name: strings.ToLower(args[0]), args: args[1:], called: args[0]}
	if lang == python {
		c.file, c.module = strings.ReplaceAll(args[0], ".", "/"), true
	}
	return []command{c}
}

// shellCommands returns the commands in the arguments of the named shell.
func shellCommands(name string, args []string) []command {
	switch w := readShell(name, args); {
	case w.line != "":
		return commandsIn(w.line)
	case len(w.script) > 0:
		s := w.script[0]
		return []command{{lang: shell, name: scriptName(s), args: w.script[1:], file: s}}
	}
	return nil
}

// commandsIn returns the command in a shell line. It returns none if the line is not a simple command.
func commandsIn(line string) []command {
	words, ok := simpleWords(line)
	for ok && len(words) > 0 && (words[0] == "exec" || strings.ContainsRune(words[0], '=')) {
		words = words[1:]
	}
	if !ok || len(words) == 0 || strings.ContainsAny(words[0], "$*?~[{") {
		return nil
	}
	return []command{{lang: anyLang, name: calledName(words[0]), args: words[1:], called: owner.CalledAs(words[0])}}
}

// javaCommands returns the commands of java(1): libraries of known tools on the class path, then the archive or class.
func javaCommands(args []string) []command {
	var libs []command
	root := ""
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := args[min(i+1, len(args)):]
		path, isPath := strings.CutPrefix(a, "--class-path=")
		switch {
		case a == "-jar" && len(value) > 0:
			return append(libs, command{lang: java, name: archiveName(value[0]), args: value[1:], file: value[0]})
		case (a == "-m" || a == "--module") && len(value) > 0:
			c := command{lang: java, name: owner.ProgramName(value[0]), args: value[1:],
				called: owner.LastElement(value[0])}
			return append(libs, c)
		case isPath:
			root, libs = classPath(path)
		case among("-cp -classpath --class-path", a) && len(value) > 0:
			root, libs = classPath(value[0])
			i++
		case among(javaValues, a):
			i++
		case strings.HasPrefix(a, "-") || strings.HasPrefix(a, "@"):
		case strings.HasSuffix(a, ".java"): // compiled as it starts
			return append(libs, command{lang: java, name: strings.ToLower(a), args: value, file: a})
		default:
			return append(libs, command{lang: java, name: strings.ToLower(a), args: value, file: root, called: a})
		}
	}
	return nil
}

const javaValues = "-p --module-path --upgrade-module-path --add-modules --limit-modules --add-reads --add-exports " +
	"--add-opens --patch-module --source --enable-native-access"

// classPath returns the first entry of a class path, and the libraries of known tools in it.
func classPath(path string) (first string, libs []command) {
	separator := ":"
	if strings.ContainsRune(path, ';') || strings.ContainsRune(path, '\\') {
		separator = ";" // on Windows
	}
	first, _, _ = strings.Cut(path, separator)
	for file := range strings.SplitSeq(path, separator) {
		libs = appendLibrary(libs, file)
	}
	return first, libs
}

// appendLibrary appends a library if it belongs to a known tool.
func appendLibrary(libs []command, file string) []command {
	if name := archiveName(file); len(toolNames[name]) > 0 && len(libs) < maxDepth/2 {
		libs = append(libs, command{lang: java, name: name})
	}
	return libs
}

// among reports whether word is in a space-separated list.
func among(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// cluster reports whether arg combines several one-letter options and ends in this one: "-um" is "-u -m".
func cluster(arg string, option byte) bool {
	flags, ok := strings.CutPrefix(arg, "-")
	return ok && len(flags) > 1 && flags[len(flags)-1] == option &&
		strings.Trim(flags, "BEIOPRSbdisuvx"+string(option)) == ""
}
