package owner

import (
	"cmp"
	"net/url"
	"strings"
)

// LastElement returns the last element of a path of any system.
func LastElement(path string) string {
	return path[strings.LastIndexAny(path, `/\`)+1:]
}

// ProgramName returns a program's name from its path or from a person's name for it: "gunicorn:" in a title,
// "vite@latest" for npx, "npm:vite" for Deno. A scoped package keeps its scope: "@angular/cli".
func ProgramName(s string) string {
	s = strings.ToLower(strings.TrimPrefix(s, "npm:"))
	if strings.HasPrefix(s, "@") {
		if at := strings.LastIndexByte(s, '@'); at > 0 {
			s = s[:at]
		}
		return s
	}
	s = strings.Trim(LastElement(s), "[]:")
	s, _, _ = strings.Cut(s, "@")
	for _, ext := range []string{".exe", ".cmd", ".bat", ".ps1"} {
		s = strings.TrimSuffix(s, ext)
	}
	return s
}

// CalledAs returns a program's usual name from its path or URL: ProgramName without the change to lower case. A URL may
// hold a secret before and after its path.
func CalledAs(s string) string {
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil {
			return ""
		}
		return cmp.Or(LastElement(strings.TrimRight(u.Path, "/")), u.Hostname())
	}
	s = strings.TrimPrefix(s, "npm:")
	if strings.HasPrefix(s, "@") {
		return ProgramName(s)
	}
	s = strings.Trim(LastElement(s), "[]:")
	s, _, _ = strings.Cut(s, "@")
	for _, ext := range []string{".exe", ".cmd", ".bat"} {
		if len(s) > len(ext) && strings.EqualFold(s[len(s)-len(ext):], ext) {
			s = s[:len(s)-len(ext)]
		}
	}
	return strings.TrimPrefix(s, "-") // a shell at a login
}

// IsTitle reports whether a process has written a title of several words over its arguments.
func IsTitle(args []string, exe string) bool {
	if len(args) != 1 || !strings.ContainsRune(args[0], ' ') {
		return false
	}
	return !strings.HasSuffix(exe, strings.TrimPrefix(args[0], ".")) // a path with a space in it
}

// threadNames are names that runtimes give to the main thread. Linux shows them instead of the program's name.
var threadNames = map[string]bool{"MainThread": true, "node-MainThread": true}

// IsThreadName reports whether a runtime gives this name to its main thread.
func IsThreadName(name string) bool { return threadNames[name] }

// untitled returns a process's name without its title. On Linux a title overwrites the name: "puma 6.4.2 (tcp" gives
// "puma".
func untitled(name string, args []string, exe string) string {
	if !IsTitle(args, exe) || !strings.HasPrefix(args[0], name) && !strings.HasPrefix(LastElement(args[0]), name) {
		return name
	}
	first, _, _ := strings.Cut(strings.TrimSpace(args[0]), " ")
	return cmp.Or(CalledAs(first), name)
}
