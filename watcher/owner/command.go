package owner

import (
	"slices"
	"strings"
)

// A command is one program of a command line. There are several when one runs another: "npx vite" holds npx and Vite.
type command struct {
	lang string // of the interpreter that runs it; empty for a program that runs by itself
	// name is the program's, without directory and extension, in lower case. For a script it begins with "./" and keeps the
	// extension unless the script was installed, because anybody may call a script of theirs vite.js.
	name   string
	args   []string
	file   string // what an interpreter runs, as it was given
	module bool   // file is a Python module without its extension
	// called is what people call it: the name of a program, module or class in the case that it was given. It is empty
	// for a script or an archive, which file tells, and for what only says something about another command.
	called string
}

// The languages that tools are written in, and what is said of a command when its language is not known.
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

// unwrap returns the commands that a command line holds, the outermost first. The path of the program may be unknown.
func unwrap(args []string, exe string) []command {
	var line []command
	for found := []command{firstCommand(args, exe)}; len(found) > 0 && len(line) < maxDepth; {
		line = append(line, found...)
		found = line[len(line)-1].runs()
	}
	return line
}

// firstCommand returns what a process is by its arguments and by its program. Some programs write a title over their
// arguments, which is then one argument of several words: "nginx: master process nginx -g daemon off;".
func firstCommand(args []string, exe string) command {
	self := programName(exe)
	titled := isTitle(args, exe)
	if titled {
		args = strings.Fields(args[0])
	}
	if len(args) == 0 {
		return command{name: self, called: calledAs(exe)}
	}
	c := command{name: programName(args[0]), args: args[1:], called: calledAs(args[0])}
	if strings.HasPrefix(args[0], "/proc/") && exe != "" { // it started itself again
		c.called = calledAs(exe)
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

// isTitle reports whether the arguments of a process are a title that it has written over them: a line of several
// words.
func isTitle(args []string, exe string) bool {
	if len(args) != 1 || !strings.ContainsRune(args[0], ' ') {
		return false
	}
	return !strings.HasSuffix(exe, strings.TrimPrefix(args[0], ".")) // a path with a space in it
}

// titleProjects are the programs whose title ends in the name of the project, and the characters around that name.
var titleProjects = map[string]string{"puma": "[]", "ng": "()"}

// titleProject returns the project that a process names in its title, or nothing: "puma 6.4.2 (tcp://localhost:3000)
// [shop]".
func (m member) titleProject() string {
	around, ok := titleProjects[m.commands[0].name]
	if !ok || !isTitle(m.args, m.exe) {
		return ""
	}
	title := strings.TrimSpace(m.args[0])
	begin := strings.LastIndexByte(title, around[0])
	if begin < 0 || title[len(title)-1] != around[1] {
		return ""
	}
	return shortName(title[begin+1 : len(title)-1])
}

// runs returns what c runs, the outermost first, if c is a launcher or an interpreter that runs something it names.
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

// commands returns what is run by these arguments of the launcher.
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
	return []command{{lang: anyLang, name: calledName(args[0]), args: args[1:], called: calledAs(args[0])}}
}

// moduleCommand returns what Python's -m or Ruby's -S runs: the module or the script on the PATH that is named first.
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

// shellCommands returns what a shell of this name runs.
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

// commandsIn returns the command in a line for a shell, if the line is a simple one.
func commandsIn(line string) []command {
	words, ok := simpleWords(line)
	for ok && len(words) > 0 && (words[0] == "exec" || strings.ContainsRune(words[0], '=')) {
		words = words[1:]
	}
	if !ok || len(words) == 0 || strings.ContainsAny(words[0], "$*?~[{") {
		return nil
	}
	return []command{{lang: anyLang, name: calledName(words[0]), args: words[1:], called: calledAs(words[0])}}
}

// javaCommands returns what java(1) runs: the libraries on its class path that a tool is known by, then the archive or class.
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
			return append(libs, command{lang: java, name: programName(value[0]), args: value[1:], called: lastElement(value[0])})
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

const javaValues = "-p --module-path --upgrade-module-path --add-modules --limit-modules --add-reads --add-exports --add-opens " +
	"--patch-module --source --enable-native-access"

// classPath returns the first entry of a class path, and the libraries in it that a tool is known by.
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

// appendLibrary appends a library if a tool is known by it.
func appendLibrary(libs []command, file string) []command {
	if name := archiveName(file); len(toolNames[name]) > 0 && len(libs) < maxDepth/2 {
		libs = append(libs, command{lang: java, name: name})
	}
	return libs
}

// among reports whether a word is one of a list that is separated by spaces.
func among(list, word string) bool {
	for w := range strings.FieldsSeq(list) {
		if w == word {
			return true
		}
	}
	return false
}

// cluster reports whether an argument is several one-letter options, of which this one is the last: "-um" is "-u -m".
func cluster(arg string, option byte) bool {
	flags, ok := strings.CutPrefix(arg, "-")
	return ok && len(flags) > 1 && flags[len(flags)-1] == option && strings.Trim(flags, "BEIOPRSbdisuvx"+string(option)) == ""
}
