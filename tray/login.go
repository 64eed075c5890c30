package tray

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"porttray/watcher/trusted"
)

// Starting at login is left to the system, which is asked each time: the person may change it there as well. Each system has
//
//	loginEnabled() (bool, error)   whether porttray is started when this user logs in
//	enableLogin(exe string) error  have it started from now on; exe is the path of the program
//	disableLogin() error           no longer; no error if it was not
//
// The program is started as `porttray tray`, so that without a tray it ends instead of watching where nobody reads.

// appID is the identifier of the program in FyneApp.toml, by which macOS knows it.
const appID = "local.porttray"

// autostartEntry returns a desktop entry that starts a program at login, see
// https://specifications.freedesktop.org/autostart-spec/latest/.
func autostartEntry(exe string) string {
	return `[Desktop Entry]
Type=Application
Name=porttray
Comment=Shows what listens on this computer's loopback ports
Exec=` + execKey(exe, "tray") + `
Icon=porttray
Terminal=false
`
}

// execKey returns a command as the value of a desktop entry's key Exec. A quoted argument has its own escapes, and the value as a
// string those of all strings around them, see https://specifications.freedesktop.org/desktop-entry-spec/latest/exec-variables.html.
func execKey(exe string, args ...string) string {
	quoted := `"` + strings.NewReplacer(`"`, `\"`, "`", "\\`", `$`, `\$`, `\`, `\\`, `%`, `%%`).Replace(exe) + `"`
	line := strings.Join(append([]string{quoted}, args...), " ")
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(line)
}

// inForce reports whether a desktop entry starts anything at login: not if it is hidden, which is how a person or a desktop turns it
// off without deleting it. Only its own group counts, and of a key the last line.
func inForce(entry string) bool {
	off := map[string]bool{}
	group := ""
	for line := range strings.Lines(entry) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			group = line
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || group != "[Desktop Entry]" {
			continue
		}
		switch key, value = strings.TrimSpace(key), strings.TrimSpace(value); key {
		case "Hidden":
			off[key] = value == "true"
		case "X-GNOME-Autostart-enabled":
			off[key] = value == "false"
		}
	}
	return !off["Hidden"] && !off["X-GNOME-Autostart-enabled"]
}

// launchAgent returns a property list that starts a program at login, see launchd.plist(5).
func launchAgent(exe string) string {
	var path strings.Builder
	_ = xml.EscapeText(&path, []byte(exe)) // a Builder takes everything
	return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + appID + `</string>
	<key>ProgramArguments</key>
	<array>
		<string>` + path.String() + `</string>
		<string>tray</string>
	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>LimitLoadToSessionType</key>
	<string>Aqua</string>
	<key>ProcessType</key>
	<string>Interactive</string>
</dict>
</plist>
`
}

// runCommand returns a command line that starts a program at login on Windows, which takes no longer ones, see
// https://learn.microsoft.com/windows/win32/setupapi/run-and-runonce-registry-keys.
func runCommand(exe string) (string, error) {
	const limit = 260
	line := `"` + exe + `" tray`
	if n := len([]rune(line)); n > limit {
		return "", fmt.Errorf("the path of the program is too long: with it the command has %d characters, and Windows takes %d", n, limit)
	}
	return line, nil
}

// writeWhole puts text into a file, which is replaced as a whole: whatever happens, it is the old one or the new one.
func writeWhole(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return trusted.Replace(path, ".porttray-", []byte(text), 0o644, true)
}
