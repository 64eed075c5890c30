package doctor

import (
	"cmp"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// system returns the names and versions of the operating system and its kernel. The text is untrusted, and omits
// unreadable parts.
func system() string {
	name, kernel := "", runtime.GOOS
	for _, file := range []string{"/etc/os-release", "/usr/lib/os-release"} { // os-release(5)
		name = cmp.Or(name, prettyName(head(file)))
	}
	var uname unix.Utsname
	if unix.Uname(&uname) == nil {
		kernel = unix.ByteSliceToString(uname.Sysname[:]) + " " + unix.ByteSliceToString(uname.Release[:])
	}
	return strings.TrimPrefix(name+", "+kernel, ", ")
}

// head returns at most the first 64 kB of a file. An os-release file is much shorter.
func head(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 64<<10)) // on an error, use the part read so far
	return string(text)
}

// prettyName returns PRETTY_NAME of an os-release file. Its values have the quotes of a shell.
func prettyName(text string) string {
	name := ""
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME=")
		if !ok {
			continue
		}
		name = value // the last one counts
		if inner, ok := strings.CutPrefix(value, "'"); ok {
			name = strings.TrimSuffix(inner, "'")
		} else if inner, ok := strings.CutPrefix(value, `"`); ok {
			unescape := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`")
			name = unescape.Replace(strings.TrimSuffix(inner, `"`))
		}
	}
	return name
}
