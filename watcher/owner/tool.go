package owner

import (
	"path/filepath"
	"slices"
	"strings"
)

// A hint says that a command of some name is a tool.
type hint struct {
	Tool
	lang  string
	words []string // which the arguments must hold
}

// toolNames holds the hints in the table of tools by the name of the command, imageNames the tools by the name of an image, and
// appDirs the programs by directories of their own, all in lower case.
var toolNames, imageNames, appDirs = readTools()

// readTools reads the table of tools.
func readTools() (names map[string][]hint, images, dirs map[string]Tool) {
	names, images, dirs = map[string][]hint{}, map[string]Tool{}, map[string]Tool{}
	for _, e := range slices.Concat(daemons, tools) {
		t := Tool{Name: e.name, Kind: e.kind}
		for how := range strings.SplitSeq(e.how, ",") {
			how = strings.TrimSpace(how)
			if dir, ok := strings.CutSuffix(how, "/"); ok {
				dirs[strings.ReplaceAll(dir, "~", " ")] = t
			} else if how != "" {
				name, words, _ := strings.Cut(how, " ")
				name = strings.ReplaceAll(name, "~", " ") // of a program with a space in its name
				names[name] = append(names[name], hint{t, e.lang, strings.Fields(words)})
			}
		}
		for image := range strings.FieldsSeq(e.images) {
			images[image] = t
		}
	}
	return names, images, dirs
}

// toolOf tells the tool of a process by its lineage: the nearest one that serves, else that runs what the person wrote, else
// that helps. The lineage ends at a desktop program: what that started is a part of it, unless it runs a file of the project in
// the given directory. Then it is the person's own program, started from an editor.
func toolOf(line []member, projectDir string) Tool {
	var best Tool
	for i, m := range line {
		t := m.tool()
		if t.Kind == App {
			if best.Kind == 0 && !slices.ContainsFunc(line[:max(i, 1)], func(m member) bool { return ownFile(m.file, projectDir) }) {
				return t
			}
			return best
		}
		best = stronger(best, t)
		if best.Kind == Server {
			break
		}
	}
	return best
}

// stronger returns the tool that says more about a listener, the first of two that say as much.
func stronger(a, b Tool) Tool {
	if a.Kind == 0 || b.Kind != 0 && b.Kind < a.Kind {
		return b
	}
	return a
}

// ownFile reports whether a file belongs to what a person wrote in a project, rather than to packages installed below it.
func ownFile(file, projectDir string) bool {
	if !isInside(file, projectDir) {
		return false
	}
	rest, _ := filepath.Rel(projectDir, file)
	return !slices.ContainsFunc(elements(rest), func(e string) bool {
		return among("node_modules site-packages vendor .venv venv .tox .yarn", e)
	})
}

// lies reports whether a file lies in a directory. Neither may be known.
func isInside(file, dir string) bool {
	if file == "" || dir == "" {
		return false
	}
	rest, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(rest)
}

// isTool reports whether a program of this name may be a tool.
func isTool(name string) bool { return len(toolNames[name]) > 0 || languageServer(name).Kind != 0 }

// tool returns the tool that the process itself is. What runs innermost says most.
func (m member) tool() Tool {
	best := calledDaemon(m.name)
	for _, c := range slices.Backward(m.commands) {
		best = stronger(best, c.tool())
	}
	if best.Kind != 0 {
		return best
	}
	for _, path := range []string{m.exe, m.file} {
		for _, e := range elements(path) {
			if t, ok := appDirs[strings.ToLower(e)]; ok {
				return t
			}
		}
	}
	return Tool{}
}

// tool returns the tool that the command is. Of several hints that fit the one with the most words says most.
func (c command) tool() Tool {
	name := c.name
	if app, _, ok := strings.Cut(name, " helper"); ok {
		name = app // macOS has a helper for each task: "Code Helper (Renderer)"
	}
	var best hint
	for _, h := range toolNames[name] {
		if (best.Kind == 0 || len(h.words) > len(best.words)) && h.fits(c) {
			best = h
		}
	}
	if best.Kind == 0 {
		return languageServer(name)
	}
	return best.Tool
}

// fits reports whether the command is what the hint is about. A word that begins with a dash is an option; any other one must
// come first among the arguments, apart from options and their values. After an asterisk words may stand anywhere.
func (h hint) fits(c command) bool {
	if c.lang != h.lang && c.lang != anyLang {
		return false
	}
	rest, anywhere := c.args, false
	for _, word := range h.words {
		if word == "*" {
			anywhere = true
			continue
		}
		at := slices.IndexFunc(rest, func(arg string) bool { return isWord(arg, word) })
		if at < 0 || !anywhere && !optionsOnly(rest[:at]) {
			return false
		}
		rest = rest[at+1:]
	}
	return true
}

// isWord reports whether an argument is a word of a hint. Options of one letter may be several in one argument, with a value.
func isWord(arg, word string) bool {
	if len(word) != 2 || word[0] != '-' {
		return arg == word
	}
	return len(arg) > 1 && arg[0] == '-' && strings.HasPrefix(strings.TrimLeft(arg[1:], "46ACNTafgknqtvx"), word[1:])
}

// optionsOnly reports whether arguments are options, some followed by a value.
func optionsOnly(args []string) bool {
	option := false
	for _, a := range args {
		if a == "--" || !option && !strings.HasPrefix(a, "-") {
			return false
		}
		option = strings.HasPrefix(a, "-") && !strings.ContainsRune(a, '=')
	}
	return true
}

// ImageTool tells the tool in a container by the reference of its image: "docker.io/library/postgres:16-alpine". It is known by
// the last element of the repository, or by the last two. The zero value means that none is known.
func ImageTool(image string) Tool {
	image, _, _ = strings.Cut(image, "@")
	path := strings.Split(image, "/")
	last := len(path) - 1
	path[last], _, _ = strings.Cut(path[last], ":")
	if t, ok := imageNames[path[last]]; ok || last == 0 {
		return t
	}
	return imageNames[path[last-1]+"/"+path[last]]
}

// ToolNames returns the names of all tools that are known.
func ToolNames() map[string]bool {
	names := make(map[string]bool, len(tools))
	for _, e := range slices.Concat(daemons, tools) {
		names[e.name] = true
	}
	return names
}
