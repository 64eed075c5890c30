package tray

import (
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"porttray/watcher/trusted"
)

// The system starts porttray at login. porttray asks it each time, because the person may change the setting there as
// well. Each system has these functions:
//
//	loginEnabled() (bool, error)   reports whether the system starts porttray when this user logs in
//	enableLogin(exe string) error  turns that on; exe is the path of the program
//	disableLogin() error           turns that off; no error if it was off
//
// The command is `porttray tray`. So without a tray it ends instead of watching in an unseen terminal.

// appID is the identifier of the program in FyneApp.toml. macOS knows the program by it.
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

// execKey returns a command as the value of a desktop entry's key Exec. It escapes the quoted argument first, and then
// the whole value as a string, see
// https://specifications.freedesktop.org/desktop-entry-spec/latest/exec-variables.html.
func execKey(exe string, args ...string) string {
	quoted := `"` + strings.NewReplacer(`"`, `\"`, "`", "\\`", `$`, `\$`, `\`, `\\`, `%`, `%%`).Replace(exe) + `"`
	line := strings.Join(append([]string{quoted}, args...), " ")
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(line)
}

// inForce reports whether a desktop entry starts anything at login. A person or a desktop may hide the entry instead of
// deleting it. Only the group [Desktop Entry] counts, and the last line of a key.
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

// runCommand returns a command line that starts a program at login on Windows. Windows limits its length, see
// https://learn.microsoft.com/windows/win32/setupapi/run-and-runonce-registry-keys.
func runCommand(exe string) (string, error) {
	const limit = 260
	line := `"` + exe + `" tray`
	if n := len([]rune(line)); n > limit {
		return "", fmt.Errorf("the start command is too long: %d of at most %d characters", n, limit)
	}
	return line, nil
}

// writeWhole writes text to a file. It replaces the file as a whole, so the file is always the old one or the new one.
func writeWhole(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return trusted.Replace(path, ".porttray-", []byte(text), 0o644, true)
}
