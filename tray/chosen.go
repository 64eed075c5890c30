package tray

import (
	"maps"
	"slices"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/settings"
)

// This is what the person chooses: in the menu, and in the settings file.

// configure takes up what is in the settings file, or says what is wrong with it.
func (l *loop) configure(c settings.Change) {
	if c.Err != nil {
		if l.model.wrong == nil || l.model.wrong.Error() != c.Err.Error() {
			l.do.say(notice{title: "The settings stay as they were", body: owner.Printable(c.Err.Error(), maxTitle), key: "settings"})
		}
		l.model.wrong = c.Err
		return
	}
	if c.Interval != l.model.settings.Interval {
		select {
		case <-l.pace: // not taken up yet
		default:
		}
		l.pace <- time.Duration(c.Interval)
	}
	l.model.settings, l.model.wrong = c.Settings, nil
	l.model.snapshot = l.model.settings.Applied(watcher.Update{Snapshot: l.latest}).Snapshot
	l.model.sort()
}

// pause pauses the notices for an hour, or goes on with them.
func (l *loop) pause() {
	if !l.model.paused.IsZero() {
		l.pauseDue, l.model.paused = nil, time.Time{}
	} else {
		// By the wall clock, which goes on while the computer sleeps.
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
func (l *loop) mute(on watcher.Listener) {
	k := on.Key()
	muted := maps.Clone(l.model.muted) // the old one may be in use where it is saved
	if muted[k] {
		delete(muted, k)
	} else {
		muted[k] = true
	}
	l.model.muted = muted
	l.save()
}

// restore takes up what the person chose in an earlier run.
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

// save has the person's choices kept.
func (l *loop) save() {
	if l.do.save != nil {
		l.do.save(choices{l.model.mode, l.model.paused, slices.SortedFunc(maps.Keys(l.model.muted), watcher.Key.Compare), l.model.pinned, l.model.hidden})
	}
}
