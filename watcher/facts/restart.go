package facts

import (
	"runtime"
	"strings"
	"unicode"

	"porttray/watcher/owner"
)

// restartCommand returns the shell line that starts a process again in its directory with its arguments. It is empty if
// these are unknown or incomplete, or if the process has written a title over them. It is also empty if they have
// control characters, because a terminal could run a pasted one as a command. The same holds for characters that change
// the direction of writing, because they could disguise the line. The line may hold secrets. It is for the person only
// and is neither shown nor logged.
func restartCommand(m member, dir string) string {
	if len(m.args) == 0 || len(m.args) == maxArgs || owner.IsTitle(m.args, m.exe) || dir == "" {
		return ""
	}
	size := 0
	for _, a := range m.args {
		size += len(a) + 1
	}
	misleading := func(r rune) bool {
		return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
	}
	if size >= maxCmdline || strings.ContainsFunc(dir+strings.Join(m.args, ""), misleading) {
		return ""
	}
	return commandLine(runtime.GOOS, dir, m.args)
}

// commandLine returns the line for a system's shell that runs a command in a directory.
func commandLine(goos, dir string, args []string) string {
	quote, enter := quoting(goos), "cd "
	if goos == "windows" {
		enter = "cd /d "
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = quote(a)
	}
	return enter + quote(dir) + " && " + strings.Join(words, " ")
}

// Quote quotes a word for this system's shell, if necessary.
func Quote(word string) string { return quoting(runtime.GOOS)(word) }

func quoting(goos string) func(word string) string {
	if goos == "windows" {
		return quoteForWindows
	}
	return quoteForShell
}

// quoteForShell quotes a word for sh(1), if necessary.
func quoteForShell(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_"
	if word != "" && strings.Trim(word, plain) == "" && !strings.Contains(word, "=") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// quoteForWindows quotes a word for cmd and for programs that split their command line like Microsoft's C runtime.
func quoteForWindows(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"&|<>^%()!;,") {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	slashes := 0
	for _, r := range word {
		switch r {
		case '\\':
			slashes++
		case '"':
			b.WriteString(strings.Repeat(`\`, slashes+1)) // backslashes before a quote count double
			slashes = 0
		default:
			slashes = 0
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(`\`, slashes) + `"`)
	return b.String()
}
