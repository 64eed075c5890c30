package facts

import "strings"

// shells are command interpreters. People type into them, and they run scripts.
var shells = map[string]bool{
	"sh": true, "bash": true, "zsh": true, "dash": true, "ash": true, "ksh": true, "mksh": true, "rbash": true,
	"fish": true, "csh": true, "tcsh": true, "nu": true, "elvish": true, "pwsh": true, "powershell": true, "cmd": true,
}

// shellWork is a shell's task. Without a line and a script the shell is interactive or reads its input.
type shellWork struct {
	line   string // after -c
	script []string
}

// readShell reads the arguments of the named shell.
func readShell(name string, args []string) shellWork {
	switch name {
	case "cmd":
		return readCmd(args)
	case "pwsh", "powershell":
		return readPowerShell(args)
	}
	lined := false
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case len(a) < 2 || a[0] != '-' && a[0] != '+':
			if lined {
				return shellWork{line: a}
			}
			return shellWork{script: args[i:]}
		case a == "--":
			continue
		case among("--rcfile --init-file --init-command -C", a):
			i++
		case strings.HasPrefix(a, "--"):
			lined = lined || a == "--command" || a == "--commands"
		default:
			lined = lined || a[0] == '-' && strings.ContainsRune(a, 'c')
			if last := a[len(a)-1]; last == 'o' || last == 'O' {
				i++
			}
		}
	}
	return shellWork{}
}

// readCmd reads the arguments of the Windows command interpreter. It takes the rest of its line unchanged.
func readCmd(args []string) shellWork {
	for i, a := range args {
		switch strings.ToLower(a) {
		case "/c":
			return shellWork{line: strings.ReplaceAll(strings.Join(args[i+1:], " "), `\`, "/")}
		case "/k":
			return shellWork{} // interactive afterwards
		}
	}
	return shellWork{}
}

// readPowerShell reads PowerShell's arguments only to find out whether it is interactive.
func readPowerShell(args []string) shellWork {
	var w shellWork
	for i := 0; i < len(args); i++ {
		switch a := strings.ToLower(args[i]); {
		case a == "-noexit":
			return shellWork{}
		case among("-executionpolicy -ep -windowstyle -version -configurationname -workingdirectory -wd", a):
			i++
		case among("-command -c -file -f -encodedcommand -e -enc", a), a != "" && a[0] != '-':
			w.script = []string{"./powershell"} // PowerShell's own language is not parsed
		}
	}
	return w
}

// simpleWords splits a shell line into words. It reports false for more than a simple command, or if only a shell can
// tell.
func simpleWords(line string) (words []string, ok bool) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t") {
		end := strings.IndexAny(line, " \t")
		if line[0] == '\'' || line[0] == '"' {
			quote := strings.IndexByte(line[1:], line[0]) + 2
			if quote < 2 || quote < len(line) && line[quote] != ' ' || strings.ContainsAny(line[1:quote-1], "`\\$") {
				return nil, false
			}
			words, line = append(words, line[1:quote-1]), line[quote:]
			continue
		}
		if end < 0 {
			end = len(line)
		}
		if strings.ContainsAny(line[:end], "|&;<>()`\\'\"#!\n") {
			return nil, false
		}
		words, line = append(words, line[:end]), line[end:]
	}
	return words, true
}
