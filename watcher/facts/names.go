package facts

import (
	"slices"
	"strings"

	"porttray/watcher/owner"
)

// elements returns the elements of a path of any system.
func elements(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
}

// calledName returns the name of a program that another one was told to run. scriptName handles a path, because it
// leads to an installed program or to a person's script. Any other name was looked up in the PATH.
func calledName(s string) string {
	if !strings.HasPrefix(s, "@") && strings.ContainsAny(s, `/\`) {
		return scriptName(s)
	}
	return owner.ProgramName(s)
}

// withoutVersion returns an interpreter's name without the system's version suffix: python3.12, php8.2.
func withoutVersion(name string) string {
	return strings.TrimRight(strings.TrimRight(name, "0123456789."), "-")
}

// scriptExtensions are the extensions of files for interpreters.
var scriptExtensions = []string{
	".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx", ".py", ".pyz", ".rb", ".ru", ".php", ".phar",
	".sh", ".pl", ".lua", ".dart", ".exs",
}

// scriptExtension returns the extension of a script, or nothing for other files.
func scriptExtension(file string) string {
	if dot := strings.LastIndexByte(file, '.'); dot > 0 && slices.Contains(scriptExtensions, file[dot:]) {
		return file[dot:]
	}
	return ""
}

// scriptName returns a script's name by its file, as command describes it. A script counts as installed in two cases:
// it lies among installed packages, or it lies in a directory for programs and has no extension. In the first case it
// takes its package's name, unless its own name is that of a tool or launcher.
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

// lastPackages returns the index of the last directory of installed packages in a path, or -1.
func lastPackages(path []string) int {
	for i, e := range slices.Backward(path[:len(path)-1]) {
		if among("node_modules site-packages dist-packages .yarn", e) {
			return i
		}
	}
	return -1
}

// packageName returns the package's name from a path below a packages directory, or nothing for programs of packages.
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
func archiveName(file string) string { return strings.ToLower(unversioned(owner.LastElement(file))) }

// unversioned returns the name of an archive without its version: orders.jar for orders-1.2.0.jar or orders_1.2.0.jar.
func unversioned(name string) string {
	dot := strings.LastIndexByte(name, '.')
	for i := 0; i+1 < dot; i++ {
		digit := '0' <= name[i+1] && name[i+1] <= '9'
		if digit && (name[i] == '-' || name[i] == '_' && strings.Contains(name[i:dot], ".")) {
			return name[:i] + name[dot:]
		}
	}
	return name
}
