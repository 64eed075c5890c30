package watcher

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"porttray/watcher/owner"
)

// maxPart is how many characters each of the two parts of a server's name may have.
const maxPart = 24

// titleAll titles the servers. Where two would read the same and are not the same, what tells them apart is added: the branch of
// the working tree, or the project of the container.
func titleAll(servers []Server) {
	same := map[string][]int{}
	for i := range servers {
		servers[i].Title = nameOf(servers[i].Listener, false)
		same[servers[i].Title] = append(same[servers[i].Title], i)
	}
	for _, group := range same {
		for _, i := range group {
			if len(group) > 1 && differ(servers, group) {
				servers[i].Title = nameOf(servers[i].Listener, true)
			}
		}
	}
}

// differ reports whether servers of the same name are those of different projects.
func differ(servers []Server, group []int) bool {
	for _, i := range group {
		a, b := servers[group[0]], servers[i]
		if a.Facts.Project.Dir != b.Facts.Project.Dir || a.Container.Project != b.Container.Project {
			return true
		}
	}
	return false
}

// Name says whose server the listener is: "shop · Vite", "PostgreSQL · db (container)". It is fit to show.
func (l Listener) Name() string { return nameOf(l, false) }

// nameOf says whose server a listener is, in as few words as tell it; in full, together with the branch or compose project.
func nameOf(l Listener, full bool) string {
	tool, project := l.Facts.Tool.Name, part(l.Facts.Project.Name)
	switch {
	case l.Container.ID != "":
		return join(part(tool), containerName(l, full)) + " (container)"
	case l.Untold != "" && forContainers(l.Owner.Name):
		return "container (" + part(l.Owner.Name) + ")"
	case l.Untold != "":
		return "container or VM (" + part(l.Owner.Name) + ")"
	case !l.Owner.Known() && l.Owner.Foreign:
		return "another user's process"
	case !l.Owner.Known():
		return "unknown owner"
	}
	if branch := part(l.Facts.Project.Branch); full && branch != "" {
		project += "@" + branch
	}
	name := part(cmp.Or(tool, l.Owner.Name))
	if project == "" && name == "" {
		return "unnamed process"
	}
	return join(project, name)
}

// forContainers reports whether a forwarder of that name forwards to containers only.
func forContainers(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"docker", "com.docker", "rootless", "conmon", "podman"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// containerName returns the service's name if the container is part of a compose project, else the container's or its image's.
func containerName(l Listener, full bool) string {
	c := l.Container
	if c.Service != "" {
		if full && c.Project != "" {
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
