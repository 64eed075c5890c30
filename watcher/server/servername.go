package server

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
)

// maxPart is the maximum number of characters in each of the two parts of a server's name.
const maxPart = 24

// TitleAll sets the titles of the servers. It adds details if two would be equal: more of the program's path, then the
// working tree's branch or the container's project, then the nearest directory that differs.
func TitleAll(servers []Server) {
	added, titled := make([]addition, len(servers)), make([]addition, len(servers))
	for i := range servers {
		servers[i].entitle(addition{})
	}
	for _, tell := range []func([]Server, []int, []addition){addProgram, addBranch, addDirectory} {
		same := make(map[string][]int, len(servers))
		for i := range servers {
			same[servers[i].Title] = append(same[servers[i].Title], i)
		}
		if len(same) == len(servers) {
			return
		}
		for _, group := range same {
			if len(group) < 2 {
				continue
			}
			tell(servers, group, added)
			for _, i := range group {
				if added[i] != titled[i] {
					servers[i].entitle(added[i])
					titled[i] = added[i]
				}
			}
		}
	}
}

func (s *Server) entitle(add addition) {
	s.Title = singleName(s.Listener, add)
	if s.Title == "" {
		s.Place, s.Runs = nameParts(s.Listener, add)
		s.Title = cmp.Or(join(s.Place, s.Runs), "unnamed process")
	}
}

// An addition is a detail in a title that distinguishes it from another server's.
type addition struct {
	parents   int    // number of directories above the program's file
	project   bool   // the branch of the working tree, or the project of the container
	directory string // a directory above the project
}

// addProgram adds the nearest different directories to programs in one project.
func addProgram(servers []Server, group []int, added []addition) {
	inProject := map[string][]int{}
	for _, i := range group {
		dir := servers[i].Facts.Project.Dir
		inProject[dir] = append(inProject[dir], i)
	}
	for _, group := range inProject {
		programs := make([][]string, len(group))
		for n, i := range group {
			programs[n] = pathFromEnd(servers[i].Facts.Program)
		}
		for n, depth := range differences(programs) {
			added[group[n]].parents = max(depth, 0)
		}
	}
}

// addBranch adds the branches of working trees, or the projects of containers, if they differ.
func addBranch(servers []Server, group []int, added []addition) {
	of := func(i int) [2]string {
		return [2]string{servers[i].Facts.Project.Branch, servers[i].Container.Project}
	}
	differ := slices.ContainsFunc(group, func(i int) bool { return of(i) != of(group[0]) })
	for _, i := range group {
		added[i].project = differ
	}
}

// addDirectory adds the nearest directories that differ.
func addDirectory(servers []Server, group []int, added []addition) {
	dirs := make([][]string, len(group))
	for n, i := range group {
		dirs[n] = pathFromEnd(servers[i].Directory())
	}
	for n, depth := range differences(dirs) {
		if depth >= 0 && depth < len(dirs[n]) {
			added[group[n]].directory = dirs[n][depth]
		}
	}
}

// pathFromEnd returns the elements of a path of any system in reverse order.
func pathFromEnd(path string) []string {
	elements := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
	slices.Reverse(elements)
	return elements
}

// differences returns, for each path with its last element first, the first index at which it differs from the others,
// or from those that are equal up to there. It is -1 if there is none.
func differences(paths [][]string) []int {
	at := slices.Repeat([]int{-1}, len(paths))
	all := make([]int, len(paths))
	longest := 0
	for i, p := range paths {
		all[i], longest = i, max(longest, len(p))
	}
	for groups := [][]int{all}; len(groups) > 0; groups = groups[1:] {
		for depth := range longest {
			like := map[string][]int{}
			for _, i := range groups[0] {
				element := ""
				if depth < len(paths[i]) {
					element = paths[i][depth]
				}
				like[element] = append(like[element], i)
			}
			if len(like) < 2 {
				continue
			}
			for _, group := range like {
				for _, i := range group {
					at[i] = depth
				}
				if len(group) > 1 {
					groups = append(groups, group)
				}
			}
			break
		}
	}
	return at
}

// Name returns the server's name: "shop · Vite", "shop · server.js", "PostgreSQL · db (container)". It is fit to show.
func (l Listener) Name() string {
	s := Server{Listener: l}
	s.entitle(addition{})
	return s.Title
}

// singleName returns the name of a listener that is known neither by project nor by program. Otherwise it is empty.
func singleName(l Listener, add addition) string {
	switch {
	case l.Label != "" && part(l.Label) != "":
		return part(l.Label)
	case l.Container.ID != "":
		return join(part(l.Facts.Tool.Name), containerName(l, add.project)) + " (" + l.Container.Kind() + ")"
	case l.Facts.Container != "" && l.Facts.Project.Name == "": // no engine names the container
		return join(whatRuns(l, add.parents), "container "+l.Facts.Container[:min(12, len(l.Facts.Container))])
	case l.Owner.Forwards() && !isEngine(l.Owner.Name):
		return behind(l.Owner.Name) + " (" + part(l.Owner.Name) + ")"
	case !l.Owner.Known() && l.Owner.Foreign:
		return "another user's process"
	case !l.Owner.Known():
		return "unknown owner"
	}
	return ""
}

// nameParts returns the project of a listener's server, and the tool or program that runs there.
func nameParts(l Listener, add addition) (project, runs string) {
	project, runs = part(l.Facts.Project.Name), whatRuns(l, add.parents)
	if project != "" && l.Facts.Tool.Name == "" && isProjects(l.Facts.Project.Name, runs) { // the project's own binary
		runs = ""
	}
	inDir := ""
	if dir := part(add.directory); dir != "" && !isProjects(l.Facts.Project.Name, dir) {
		inDir = " in " + dir
	}
	if project == "" {
		return "", runs + inDir
	}
	if branch := part(l.Facts.Project.Branch); add.project && branch != "" {
		project += "@" + branch
	}
	return project + inDir, runs
}

// isProjects reports whether a name is the name of a project: "shop" for shop and for acme/shop.
func isProjects(project, name string) bool {
	return strings.EqualFold(project, name) || strings.EqualFold(path.Base(project), name)
}

// whatRuns names the tool, or else the program with this number of parent directories. A runner's program says more
// than the runner, unless its name is the project's, or a common one such as main.
func whatRuns(l Listener, parents int) string {
	tool := l.Facts.Tool
	if tool.Name != "" && (tool.Kind != facts.Runner || l.Facts.Program == "") {
		return part(tool.Name)
	}
	program := programName(l.Facts.Program, parents)
	if tool.Name == "" {
		return cmp.Or(program, part(l.Owner.Name))
	}
	if program == "" || program == "main" || program == "__debug_bin" || isProjects(l.Facts.Project.Name, program) {
		return part(tool.Name)
	}
	return program
}

// programName returns the end of a program's path or full name: "server.js", or "web/server.js" with one parent.
func programName(program string, parents int) string {
	isPath := strings.Contains(program, "/")
	words := strings.Split(program, "/")
	if first := max(len(words)-1-parents, 0); first > 0 {
		words = words[first:]
	}
	name := strings.TrimPrefix(strings.Join(words, "/"), "/")
	const longestExtension = 4
	isFile := len(name)-strings.LastIndexByte(name, '.') <= longestExtension
	// Shorten the name of a class by its outer packages first.
	for !isPath && !isFile && strings.Contains(name, ".") && len(name) > maxPart {
		_, name, _ = strings.Cut(name, ".")
	}
	return part(name)
}

// behind names the target of a forwarder.
func behind(name string) string {
	name = strings.ToLower(name)
	for _, prefix := range []string{"docker", "com.docker", "rootless", "conmon", "podman"} {
		if strings.HasPrefix(name, prefix) {
			return "container"
		}
	}
	return "container or VM"
}

// isEngine reports whether a forwarder with this name is an engine with ports of its own.
func isEngine(name string) bool {
	return slices.Contains([]string{"dockerd", "podman", "limactl", "colima"}, name)
}

// containerName returns the name of the compose service, else of the container, else of its image.
func containerName(l Listener, withProject bool) string {
	c := l.Container
	if c.Service != "" {
		if withProject && c.Project != "" {
			return part(c.Project) + "/" + part(c.Service)
		}
		return part(c.Service)
	}
	return part(cmp.Or(c.Name, path.Base(c.Image)))
}

func join(a, b string) string {
	return strings.TrimSuffix(strings.TrimPrefix(a+" · "+b, " · "), " · ")
}

func part(s string) string { return owner.Printable(s, maxPart) }
