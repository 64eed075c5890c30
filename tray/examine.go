package tray

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"porttray/watcher/doctor"
	"porttray/watcher/history"
	"porttray/watcher/owner"
	"porttray/watcher/trusted"
)

const (
	examineLimit = 2 * time.Second // for one check; a healthy partner answers at once
	maxOther     = 60              // characters of a name from another program
	maxFound     = 300             // characters of an error or a list from another program
)

// Examine checks the needs of the tray: the desktop session, its tray host and notification service, and the file of
// the choices. It starts, shows and sends nothing. It asks the bus for the running programs, and calls no others. Each
// check ends after examineLimit, and all of them soon after ctx is done.
func Examine(ctx context.Context) []doctor.Finding {
	kept, ok := doctor.Within(ctx, examineLimit, func(context.Context) doctor.Finding { return examineChoices() })
	if !ok {
		kept = doctor.Unfinished(ctx, "choices", examineLimit)
	}
	return append(examineSession(ctx), kept)
}

// examineChoices returns where the choices are saved, and whether they can be.
func examineChoices() doctor.Finding {
	f := doctor.Finding{Topic: "choices"}
	lacks := func(says, fix string) doctor.Finding {
		f.State, f.Says, f.Fix = doctor.Lacks, owner.Printable(says, maxFound), owner.Printable(fix, maxFound)
		return f
	}
	file, err := choicesFile()
	if err != nil {
		return lacks("your menu choices cannot be saved: "+err.Error(), "give this user a home directory ($HOME)")
	}
	shown := owner.ShortDir(file)
	text, err := trusted.Read(file, maxChoices)
	first := errors.Is(err, fs.ErrNotExist)
	if err != nil && !first {
		says := shown + " cannot be read, so choices are not saved: " + err.Error()
		return lacks(says, "let this user read and write "+shown)
	}
	if err := history.Writable(trusted.Target(file)); err != nil {
		return lacks("your menu choices cannot be saved in "+shown+": "+err.Error(),
			"let this user write to "+owner.ShortDir(filepath.Dir(file))+", and make sure that the disk is not full")
	}
	if _, err := parseChoices(text); err != nil {
		return lacks(shown+" is invalid; the next start renames it: "+err.Error(), "correct it or delete it")
	}
	f.Says = "your menu choices are saved in " + owner.Printable(shown, maxFound)
	if first {
		f.Says += " (no such file yet)"
	}
	return f
}

// overSSH is the finding for a session over ssh on a computer with a tray.
func overSSH(topic, what string) doctor.Finding {
	return doctor.Finding{
		Topic: topic, State: doctor.Lacks,
		Says: what + ", but this terminal runs over ssh: without a command, porttray then watches in the terminal",
		Fix:  "start porttray on the desktop itself; porttray tray starts the tray from here",
	}
}

// examineElsewhere returns the findings for Windows and macOS, without asking the desktop.
func examineElsewhere(goos string, remote bool, lookPath func(string) (string, error)) []doctor.Finding {
	const unsure = ". The system settings may turn them off"
	session := doctor.Finding{Topic: "session", Says: "a Windows desktop"}
	host := doctor.Finding{Topic: "tray host", Says: "the notification area of the taskbar; its arrow may hide icons"}
	notices := doctor.Finding{Topic: "notifications", Says: "shown as toasts; a click opens the server" + unsure}
	if goos == "darwin" {
		session.Says, host.Says = "a macOS desktop", "the menu bar"
		by := "osascript, under the name of Script Editor"
		if _, err := lookPath("terminal-notifier"); err == nil {
			by = "terminal-notifier; a newer one replaces an older one"
		}
		notices.Says = "shown by " + by + "; a click does not open the server" + unsure
	}
	if remote {
		session = overSSH(session.Topic, session.Says)
	}
	return []doctor.Finding{session, host, notices}
}
