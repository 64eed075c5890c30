package facts

import (
	"path/filepath"
	"slices"
	"strings"
)

// A hint maps a command's name and arguments to a tool.
type hint struct {
	Tool
	lang  string
	words []string // required in the arguments
}

// toolNames holds the hints by command name, imageNames the tools by image name, and appDirs the desktop programs by
// their directories. All keys are in lower case.
var toolNames, imageNames, appDirs = readTools()

// readTools parses the table of tools.
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
				name = strings.ReplaceAll(name, "~", " ") // a program with a space in its name
				names[name] = append(names[name], hint{t, e.lang, strings.Fields(words)})
			}
		}
		for image := range strings.FieldsSeq(e.images) {
			images[image] = t
		}
	}
	return names, images, dirs
}

// toolOf returns the tool of a process by its lineage: the nearest Server, else the nearest Runner, else the nearest
// Helper. The lineage ends at a desktop program. Its child processes are part of it, unless one runs a file of the
// project in projectDir. Such a process is the person's own program, started from an editor.
func toolOf(line []member, projectDir string) Tool {
	var best Tool
	for i, m := range line {
		t := m.tool()
		if t.Kind == App {
			ownCode := func(m member) bool { return ownFile(m.file, projectDir) }
			if best.Kind == 0 && !slices.ContainsFunc(line[:max(i, 1)], ownCode) {
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

// stronger returns the tool that says more about a listener, or a if both say as much.
func stronger(a, b Tool) Tool {
	if a.Kind == 0 || b.Kind != 0 && b.Kind < a.Kind {
		return b
	}
	return a
}

// ownFile reports whether a file is the person's code in a project, rather than part of an installed package.
func ownFile(file, projectDir string) bool {
	if !isInside(file, projectDir) {
		return false
	}
	rest, _ := filepath.Rel(projectDir, file)
	return !slices.ContainsFunc(elements(rest), func(e string) bool {
		return among("node_modules site-packages vendor .venv venv .tox .yarn", e)
	})
}

// isInside reports whether a file lies in dir. It is false if either is unknown.
func isInside(file, dir string) bool {
	if file == "" || dir == "" {
		return false
	}
	rest, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(rest)
}

// isTool reports whether a program of this name may be a tool.
func isTool(name string) bool { return len(toolNames[name]) > 0 || languageServer(name).Kind != 0 }

// tool returns the process's own tool. If commands are equally strong, the innermost counts.
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

// tool returns the command's tool. Among matching hints the one with the most words counts.
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

// fits reports whether the command matches the hint. Other words than options must come first among the arguments,
// after options and their values. Words after an asterisk may be anywhere.
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

// isWord reports whether arg matches a hint's word. One argument may combine several one-letter options and a value.
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

// ImageTool returns the tool in a container by its image reference: "docker.io/library/postgres:16-alpine". It compares
// the last element of the repository, or the last two. The zero value means that none is known.
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

// ToolNames returns the names of all known tools.
func ToolNames() map[string]bool {
	names := make(map[string]bool, len(tools))
	for _, e := range slices.Concat(daemons, tools) {
		names[e.name] = true
	}
	return names
}
