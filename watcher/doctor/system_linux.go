package doctor

import (
	"cmp"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// system names the operating system and its kernel with their versions: untrusted text. What cannot be read is left out.
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

// head returns the beginning of a file, which is as much as an os-release file has by far.
func head(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 64<<10)) // a part is as good
	return string(text)
}

// prettyName returns PRETTY_NAME of an os-release file, whose values are written as a shell takes them.
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
			name = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(strings.TrimSuffix(inner, `"`))
		}
	}
	return name
}
