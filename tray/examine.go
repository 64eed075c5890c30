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
	examineLimit = 2 * time.Second // for what answers at once, or hangs
	maxOther     = 60              // characters of a name that others give
	maxFound     = 300             // characters of an error, or of what others list
)

// Examine looks at what the tray needs: the desktop session with what shows tray icons and notifications, and the file that keeps
// what the person chose. Nothing is started, shown or sent for it; the bus is asked for nothing but who is there, and only those
// are asked who are. Each look ends after examineLimit, and all of them soon after ctx is done.
func Examine(ctx context.Context) []doctor.Finding {
	kept, ok := doctor.Within(ctx, examineLimit, func(context.Context) doctor.Finding { return examineChoices() })
	if !ok {
		kept = doctor.Unfinished(ctx, "choices", examineLimit)
	}
	return append(examineSession(ctx), kept)
}

// examineChoices tells where the choices are kept, and whether they can be.
func examineChoices() doctor.Finding {
	f := doctor.Finding{Topic: "choices"}
	lacks := func(says, fix string) doctor.Finding {
		f.State, f.Says, f.Fix = doctor.Lacks, owner.Printable(says, maxFound), owner.Printable(fix, maxFound)
		return f
	}
	file, err := choicesFile()
	if err != nil {
		return lacks("what you choose in the menu cannot be kept: "+err.Error(), "give this user a home directory ($HOME)")
	}
	shown := owner.ShortDir(file)
	text, err := trusted.Read(file, maxChoices)
	first := errors.Is(err, fs.ErrNotExist)
	if err != nil && !first {
		return lacks(shown+" cannot be read, so nothing is kept: "+err.Error(), "let this user read and write "+shown)
	}
	if err := history.Writable(trusted.Target(file)); err != nil {
		return lacks("what you choose in the menu cannot be kept in "+shown+": "+err.Error(),
			"let this user write to "+owner.ShortDir(filepath.Dir(file))+", and see that there is room on the disk")
	}
	if _, err := parseChoices(text); err != nil {
		return lacks(shown+" is in no order, so that the next start puts it aside: "+err.Error(), "correct it or delete it")
	}
	f.Says = "what you choose in the menu is kept in " + owner.Printable(shown, maxFound)
	if first {
		f.Says += ", which is not there yet"
	}
	return f
}

// overSSH is the finding about a session over ssh that has a tray all the same.
func overSSH(topic, what string) doctor.Finding {
	return doctor.Finding{
		Topic: topic, State: doctor.Lacks,
		Says: what + ", but this is a terminal over ssh: porttray by itself watches in the terminal then",
		Fix:  "start porttray on the desktop itself; porttray tray insists on the tray from here",
	}
}

// examineElsewhere tells what can be told of a desktop that cannot be asked: on Windows and macOS.
func examineElsewhere(goos string, remote bool, lookPath func(string) (string, error)) []doctor.Finding {
	session := doctor.Finding{Topic: "session", Says: "a desktop of Windows"}
	host := doctor.Finding{Topic: "tray host", Says: "the notification area of the taskbar, which may keep the icon behind its arrow"}
	notices := doctor.Finding{Topic: "notifications", Says: "shown as toasts; a click opens the server. Whether they are switched off in the settings is not known"}
	if goos == "darwin" {
		session.Says, host.Says = "a desktop of macOS", "the menu bar"
		by := "osascript, under the name of Script Editor"
		if _, err := lookPath("terminal-notifier"); err == nil {
			by = "terminal-notifier, where a newer one takes the place of an older one"
		}
		notices.Says = "shown by " + by + "; a click does not open the server. Whether they are switched off in the settings is not known"
	}
	if remote {
		session = overSSH(session.Topic, session.Says)
	}
	return []doctor.Finding{session, host, notices}
}
