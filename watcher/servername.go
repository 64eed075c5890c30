package watcher

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"porttray/watcher/owner"
)

// maxPart is how many characters each of the two parts of a server's name may have.
const maxPart = 24

// titleAll titles the servers. Where two would read the same and are those of different projects, what tells them apart is added:
// the branch of the working tree, or the project of the container; where that does not, the name of the directory.
func titleAll(servers []Server) {
	for i, s := range servers {
		servers[i].Title = nameOf(s.Listener, brief)
	}
	for _, full := range []fullness{withBranch, withDir} {
		same := map[string][]int{}
		for i, s := range servers {
			same[s.Title] = append(same[s.Title], i)
		}
		for _, group := range same {
			if !unlike(servers, group) {
				continue
			}
			for _, i := range group {
				servers[i].Title = nameOf(servers[i].Listener, full)
			}
		}
	}
}

// A fullness says how much a name tells.
type fullness int

const (
	brief fullness = iota
	withBranch
	withDir
)

// unlike reports whether servers of the same name are those of different projects.
func unlike(servers []Server, group []int) bool {
	for _, i := range group {
		a, b := servers[group[0]], servers[i]
		if a.Facts.Project.Dir != b.Facts.Project.Dir || a.Container.Project != b.Container.Project {
			return true
		}
	}
	return false
}

// Name says whose server the listener is: "shop · Vite", "PostgreSQL · db (container)". It is fit to show.
func (l Listener) Name() string { return nameOf(l, brief) }

// nameOf says whose server a listener is.
func nameOf(l Listener, full fullness) string {
	tool, project := l.Facts.Tool.Name, part(l.Facts.Project.Name)
	switch {
	case l.Label != "" && part(l.Label) != "":
		return part(l.Label)
	case l.Container.ID != "":
		return join(part(tool), containerName(l, full)) + " (container)"
	case l.Owner.Forwards() && !isEngine(l.Owner.Name):
		return behind(l.Owner.Name) + " (" + part(l.Owner.Name) + ")"
	case !l.Owner.Known() && l.Owner.Foreign:
		return "another user's process"
	case !l.Owner.Known():
		return "unknown owner"
	}
	name := part(cmp.Or(tool, l.Owner.Name))
	switch {
	case project == "" && name == "":
		return "unnamed process"
	case tool == "" && strings.EqualFold(project, name): // the project's own binary
		name = ""
	}
	if branch := part(l.Facts.Project.Branch); full >= withBranch && branch != "" {
		project += "@" + branch
	}
	if base := part(filepath.Base(l.Facts.Project.Dir)); full == withDir && project != "" {
		project += " in " + base
	}
	return join(project, name)
}

// behind says what a forwarder of that name forwards to.
func behind(name string) string {
	name = strings.ToLower(name)
	for _, prefix := range []string{"docker", "com.docker", "rootless", "conmon", "podman"} {
		if strings.HasPrefix(name, prefix) {
			return "container"
		}
	}
	return "container or VM"
}

// isEngine reports whether a forwarder of that name is an engine, which has ports of its own.
func isEngine(name string) bool {
	return slices.Contains([]string{"dockerd", "podman", "limactl", "colima"}, name)
}

// containerName returns the service's name if the container is part of a compose project, else the container's or its image's.
func containerName(l Listener, full fullness) string {
	c := l.Container
	if c.Service != "" {
		if full > brief && c.Project != "" {
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
