package owner

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// lastElement returns what stands last in a path, of whichever system.
func lastElement(path string) string {
	return path[strings.LastIndexAny(path, `/\`)+1:]
}

// elements returns the elements of a path, of whichever system.
func elements(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
}

// programName returns the name of a program by its path or by what somebody called it: "gunicorn:" in a title, "vite@latest"
// for npx, "npm:vite" for Deno. A package with a scope keeps it: "@angular/cli".
func programName(s string) string {
	s = strings.ToLower(strings.TrimPrefix(s, "npm:"))
	if strings.HasPrefix(s, "@") {
		if at := strings.LastIndexByte(s, '@'); at > 0 {
			s = s[:at]
		}
		return s
	}
	s = strings.Trim(lastElement(s), "[]:")
	s, _, _ = strings.Cut(s, "@")
	for _, ext := range []string{".exe", ".cmd", ".bat", ".ps1"} {
		s = strings.TrimSuffix(s, ext)
	}
	return s
}

// calledName returns the name of a program by what another one was told to run. A path leads to what was installed or to what
// somebody wrote, as scriptName tells; else the program was looked up.
func calledName(s string) string {
	if !strings.HasPrefix(s, "@") && strings.ContainsAny(s, `/\`) {
		return scriptName(s)
	}
	return programName(s)
}

// calledAs returns the name of a program by its path or its address, as people say it: programName in the case that was
// given. An address may hold a secret before and behind its path.
func calledAs(s string) string {
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil {
			return ""
		}
		return cmp.Or(lastElement(strings.TrimRight(u.Path, "/")), u.Hostname())
	}
	s = strings.TrimPrefix(s, "npm:")
	if strings.HasPrefix(s, "@") {
		return programName(s)
	}
	s = strings.Trim(lastElement(s), "[]:")
	s, _, _ = strings.Cut(s, "@")
	for _, ext := range []string{".exe", ".cmd", ".bat"} {
		if len(s) > len(ext) && strings.EqualFold(s[len(s)-len(ext):], ext) {
			s = s[:len(s)-len(ext)]
		}
	}
	return strings.TrimPrefix(s, "-") // a shell at a login
}

// withoutVersion returns an interpreter's name without the version that systems append to it: python3.12, php8.2.
func withoutVersion(name string) string {
	return strings.TrimRight(strings.TrimRight(name, "0123456789."), "-")
}

// scriptExtensions are those of files that an interpreter runs.
var scriptExtensions = []string{
	".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx", ".py", ".pyz", ".rb", ".ru", ".php", ".phar", ".sh", ".pl", ".lua",
	".dart", ".exs",
}

// scriptExtension returns the extension of a script, or nothing for what is none.
func scriptExtension(file string) string {
	if dot := strings.LastIndexByte(file, '.'); dot > 0 && slices.Contains(scriptExtensions, file[dot:]) {
		return file[dot:]
	}
	return ""
}

// scriptName returns the name of a script by its file, as command describes it. It was installed if it lies among installed
// packages, or in a directory for programs and has no extension; then it has the name of its package if its own says nothing.
func scriptName(file string) string {
	file = strings.TrimSuffix(strings.ToLower(file), ".exe")
	path := elements(file)
	if len(path) == 0 {
		return ""
	}
	base, ext := path[len(path)-1], scriptExtension(file)
	if at := lastPackages(path); at >= 0 {
		pack := packageName(path[at+1:])
		name := strings.TrimSuffix(base, ext)
		if pack == "" || programDir(path) && (len(toolNames[name]) > 0 || isLauncher(name)) {
			return name
		}
		return pack
	}
	if ext == "" && (programDir(path) || base == "debugpy") {
		return base
	}
	return "./" + base
}

// lastPackages returns where the last directory of installed packages stands among the elements of a path, or -1.
func lastPackages(path []string) int {
	for i, e := range slices.Backward(path[:len(path)-1]) {
		if among("node_modules site-packages dist-packages .yarn", e) {
			return i
		}
	}
	return -1
}

// packageName returns the name of the package that a path below a directory of packages belongs to, or nothing for the
// programs that packages put there.
func packageName(path []string) string {
	switch {
	case len(path) < 2 || path[0] == ".bin" || path[0] == "releases":
		return ""
	case strings.HasPrefix(path[0], "@"):
		return path[0] + "/" + path[1]
	}
	return path[0]
}

// programDir reports whether a file lies in a directory for programs.
func programDir(path []string) bool {
	return len(path) > 1 && among("bin .bin sbin exe scripts releases", path[len(path)-2])
}

// archiveName returns the name of a Java archive without directory and version.
func archiveName(file string) string { return strings.ToLower(unversioned(lastElement(file))) }

// unversioned returns the name of an archive without its version: orders.jar for orders-1.2.0.jar or orders_1.2.0.jar.
func unversioned(name string) string {
	dot := strings.LastIndexByte(name, '.')
	for i := 0; i+1 < dot; i++ {
		if digit := '0' <= name[i+1] && name[i+1] <= '9'; digit && (name[i] == '-' || name[i] == '_' && strings.Contains(name[i:dot], ".")) {
			return name[:i] + name[dot:]
		}
	}
	return name
}
