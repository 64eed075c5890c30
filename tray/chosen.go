package tray

import (
	"maps"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// This file applies the person's choices, from the menu and from the settings file.

// configure applies the settings file, or reports the error in it.
func (l *loop) configure(c settings.Change) {
	if c.Err != nil {
		if l.model.wrong == nil || l.model.wrong.Error() != c.Err.Error() {
			body := owner.Printable(c.Err.Error(), maxTitle)
			l.do.say(notice{title: "The old settings stay in use", body: body, key: "settings"})
		}
		l.model.wrong = c.Err
		return
	}
	if c.Interval != l.model.settings.Interval {
		select {
		case <-l.pace: // the watcher has not received it yet
		default:
		}
		l.pace <- time.Duration(c.Interval)
	}
	l.model.settings, l.model.wrong = c.Settings, nil
	l.model.snapshot = l.model.settings.Applied(watcher.Update{Snapshot: l.latest}).Snapshot
	l.model.sort()
}

// pause pauses the notices for an hour, or resumes them.
func (l *loop) pause() {
	if !l.model.paused.IsZero() {
		l.pauseDue, l.model.paused = nil, time.Time{}
	} else {
		// Use the wall clock, which continues while the computer sleeps.
		l.pauseDue, l.model.paused = time.After(pauseFor), time.Now().Add(pauseFor).Round(0)
	}
	l.save()
}

// mark pins or hides a server, or undoes that.
func (l *loop) mark(c click) {
	if c.action == pin {
		l.model.pinned = toggled(l.model.pinned, c.mark)
	} else {
		l.model.hidden = toggled(l.model.hidden, c.mark)
		if marked(l.model.hidden, c.mark.Key) && marked(l.model.pinned, c.mark.Key) {
			l.model.pinned = toggled(l.model.pinned, c.mark)
		}
	}
	l.model.sort()
	l.save()
}

// mute toggles notifications for a server.
func (l *loop) mute(on server.Listener) {
	k := on.Key()
	muted := maps.Clone(l.model.muted) // the keeper may still use the old map
	if muted[k] {
		delete(muted, k)
	} else {
		muted[k] = true
	}
	l.model.muted = muted
	l.save()
}

func (l *loop) restore(c choices) {
	l.model.mode = c.Mode
	for _, k := range c.Muted {
		l.model.muted[k] = true
	}
	l.model.pinned, l.model.hidden = c.Pinned, c.Hidden
	if left := min(time.Until(c.Paused), pauseFor); left > 0 {
		l.model.paused, l.pauseDue = time.Now().Add(left).Round(0), time.After(left)
	}
}

func (l *loop) save() {
	if l.do.save != nil {
		muted := slices.SortedFunc(maps.Keys(l.model.muted), server.Key.Compare)
		l.do.save(choices{l.model.mode, l.model.paused, muted, l.model.pinned, l.model.hidden})
	}
}
