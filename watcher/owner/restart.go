package owner

import (
	"runtime"
	"strings"
	"unicode"
)

// restartCommand returns the line for a shell by which a process is started again as it was: in its directory, with its arguments.
// It is empty where those are not known, or not all of them, or where the process has written a title over them, and where they
// hold control characters, which a terminal could take for commands when the line is pasted, or such as turn the direction of writing, by
// which the line would look like another one. It may hold secrets: it is for the
// person alone, and is neither shown nor written down.
func restartCommand(m member, dir string) string {
	if len(m.args) == 0 || len(m.args) == maxArgs || isTitle(m.args, m.exe) || dir == "" {
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

// commandLine returns the line by which a system's shell runs a command in a directory.
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

// Quote quotes a word for this system's shell, if that is necessary.
func Quote(word string) string { return quoting(runtime.GOOS)(word) }

func quoting(goos string) func(word string) string {
	if goos == "windows" {
		return quoteForWindows
	}
	return quoteForShell
}

// quoteForShell quotes a word for sh(1), if that is necessary.
func quoteForShell(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_"
	if word != "" && strings.Trim(word, plain) == "" && !strings.Contains(word, "=") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// quoteForWindows quotes a word for cmd and for programs that read their command line as Microsoft's C runtime does.
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
			b.WriteString(strings.Repeat(`\`, slashes+1)) // those before a quote count twice
			slashes = 0
		default:
			slashes = 0
		}
		b.WriteRune(r)
	}
	b.WriteString(strings.Repeat(`\`, slashes) + `"`)
	return b.String()
}
