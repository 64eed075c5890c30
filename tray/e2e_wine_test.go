//go:build linux

package tray_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// These are the promises for Windows, as far as Wine can tell. It lists listeners without their owners, so all are under Other, and
// whether a process is ended by its handle is seen in the tests of owner.

func TestWine(t *testing.T) {
	parallel(t)
	tool(t, "wine")
	tool(t, "xdotool")
	d := newDesktop(t)
	d.needNetwork()
	begin := time.Now()
	step := func(format string, args ...any) {
		t.Helper()
		t.Logf("%5.1f s  "+format, append([]any{time.Since(begin).Seconds()}, args...)...)
	}
	s := d.startScreen(800, 600)
	s.startPanel()
	w := s.startWine()
	step("Wine is there")

	t.Run("packages", func(t *testing.T) {
		w := w.in(t)
		for _, pkg := range []string{"assets", "watcher", "watcher/owner", "watcher/owner/engine", "watcher/port", "watcher/terminal", "tray"} {
			// Wine before 9.0 says that it makes a symbolic link, and makes none.
			const skip = "^TestWriteChoicesThroughALink$"
			run := w.testPackage(pkg, skip)
			if len(run.failed) > 0 {
				// Under load Wine now and then fails to start a process ("Internal error"). What fails twice is the test's own.
				step("tests of %s that failed, which are run again: %q", pkg, slices.Sorted(maps.Keys(run.failed)))
				again := w.testPackage(pkg, skip)
				maps.DeleteFunc(run.failed, func(test, _ string) bool { return again.failed[test] == "" })
				run.passed = append(run.passed, again.passed...)
			}
			for _, test := range slices.Sorted(maps.Keys(run.failed)) {
				t.Errorf("%s: %s: %s", pkg, test, run.failed[test])
			}
			step("tests of %s: %d passed, %d of them but for their directory, %d skipped", pkg, len(run.passed), run.cleaned, len(run.skipped))
			for _, test := range map[string][]string{
				"watcher/owner":    {"TestEnd/killed", "TestEndMissesNobody/an_earlier_process_of_that_PID", "TestEndMissesNobody/a_later_process_of_that_PID"},
				"watcher/terminal": {"TestAttachToConsole/with_a_command", "TestLogFileOfCrash"},
				"tray":             {"TestLogin"},
			}[pkg] {
				if !slices.Contains(run.passed, test) {
					t.Errorf("%s: %s did not pass", pkg, test)
				}
			}
		}
	})
	victim := windowsProgram(t, "porttray/watcher/owner", true)
	t.Run("terminal", func(t *testing.T) { w.in(t).testTerminal(step, victim) })
	t.Run("tray", func(t *testing.T) { w.in(t).testTray(step, victim) })
	t.Run("login", func(t *testing.T) { w.in(t).testLogin(step) })
}

// in returns the same Windows for a subtest: what the subtest starts ends with it.
func (w *wine) in(t *testing.T) *wine {
	d := *w.desktop
	d.t = t
	s := *w.screen
	s.desktop = &d
	return &wine{&s, w.prefix, w.program}
}

// testTerminal has the commands write through pipes, and events appear there.
func (w *wine) testTerminal(step func(string, ...any), victim string) {
	w.t.Helper()
	out, errs, code := w.run("wine", w.program, "version")
	if !strings.HasPrefix(out, "porttray ") || errs != "" || code != 0 {
		w.t.Errorf("version: %q, %q, %d", out, errs, code)
	}
	_, errs, code = w.run("wine", w.program, "no such command")
	if !strings.Contains(errs, `"no such command": not a command`) || code != 2 {
		w.t.Errorf("a wrong command: %q, %d", errs, code)
	}
	step("version: %q", strings.TrimSpace(out))

	before := w.startVictim(victimOptions{}, "127.0.0.1:0")
	watch := startProcess(w.t, w.command("wine", w.program, "watch", "--all"))
	says := func(want string) {
		w.t.Helper()
		if !poll(patience, func() bool { return strings.Contains(watch.output(), want) }) {
			w.t.Fatalf("watch does not say %q:\n%s", want, watch.output())
		}
	}
	says(fmt.Sprintf("\n%d  ", before.ports[0]))
	windows, port := w.startListener(victim)
	says(fmt.Sprintf("  opened  %d  ", port))
	linux := w.startVictim(victimOptions{}, "[::1]:0")
	says(fmt.Sprintf("  opened  %d  ", linux.ports[0]))
	windows.signal(os.Kill)
	says(fmt.Sprintf("  closed  %d  ", port))
	step("watch:\n%s", watch.output())
}

// testTray goes through the menu.
func (w *wine) testTray(step func(string, ...any), victim string) {
	w.t.Helper()
	if at, ok := w.icon(); ok {
		w.t.Fatalf("there is an icon at %v before anything was started", at)
	}
	linux := w.startVictim(victimOptions{}, "127.0.0.1:0")
	begin := time.Now()
	tray := w.startTray()
	if !poll(patience, func() bool { _, ok := w.icon(); return ok }) {
		w.t.Fatalf("no icon:\n%s", tray.output())
	}
	at, _ := w.icon()
	step("the icon is in the panel at %v after %v", at, time.Since(begin).Round(time.Millisecond))

	windows, port := w.startListener(victim)
	row := func(port uint16) string { return fmt.Sprintf("%d  unknown owner", port) }
	listed := tray.waitFor("rows of both listeners", func(entries []entry) bool {
		text := labels(entries)
		return strings.Contains(text, row(port)) && strings.Contains(text, row(linux.ports[0]))
	}, "Other")
	step("the menu:\n%s... and under Other:\n%s", labels(tray.open()), labels(listed))
	tray.dismiss()
	actions := tray.choose("Other", row(port))
	tray.dismiss()
	step("the entries of a listener:\n%s", labels(actions))
	if text := labels(actions); !strings.Contains(text, "(Cannot kill: its owner is unknown)") {
		w.t.Error("what Wine shows no owner of can be killed")
	}

	tray.choose("Other", row(linux.ports[0]), "Open in browser")
	url := fmt.Sprintf("http://localhost:%d", linux.ports[0])
	if !poll(patience, func() bool { return slices.Contains(w.urls(), url) || slices.Contains(w.urls(), url+"/") }) {
		w.t.Errorf("opened were %q, want %q", w.urls(), url)
	}
	step("opened: %q", w.urls())

	entries := tray.open()
	late := w.startVictim(victimOptions{}, "127.0.0.1:0")
	time.Sleep(10 * time.Second) // in which it would get its row, also where looks are rare
	if text := labels(tray.enter(entries, "Other")); strings.Contains(text, row(late.ports[0])) {
		w.t.Errorf("the open menu changed to\n%s", text)
	}
	tray.dismiss()
	tray.waitFor("row of what came while the menu was open", func(entries []entry) bool { return strings.Contains(labels(entries), row(late.ports[0])) }, "Other")
	late.signal(os.Kill)
	step("the open menu was held")

	windows.signal(os.Kill)
	listed = tray.waitFor("menu without a listener that has ended", func(entries []entry) bool { return !strings.Contains(labels(entries), row(port)) }, "Other")
	if len(listed) != 1 {
		w.t.Errorf("under Other is left:\n%s", labels(listed))
	}
	step("after the end of one listener, under Other is left:\n%s", labels(listed))

	chosen := tray.choose("Notifications")
	tray.dismiss()
	tray.choose("Notifications", chosen[0].label)
	state := w.home("AppData/Roaming/porttray/state.toml")
	var text []byte
	if !poll(patience, func() bool {
		var err error
		text, err = os.ReadFile(state)
		return err == nil && bytes.Contains(text, []byte("notifications = 'all'"))
	}) {
		w.t.Errorf("after %q the state file has %q", chosen[0].label, text)
	}
	step("the state file: %q", text)

	// There is no Windows Runtime here, so this is a balloon, and no reason to complain.
	tray.choose("Settings", "About porttray")
	if !stays(2*time.Second, func() bool { return !strings.Contains(tray.output(), "notifications do not arrive") }) {
		w.t.Error("notifications do not arrive")
	}
	tray.quit()
	if log := ownLines(tray.output()); log != "" {
		w.t.Errorf("the log has\n%s", log)
	}
	step("it has ended by its menu")
}

// ownLines returns what the program itself has written, not Wine.
func ownLines(log string) string {
	var own []string
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "time=") {
			own = append(own, line)
		}
	}
	return strings.Join(own, "")
}

// testLogin starts the program while there is no taskbar, as it can happen at login. That a taskbar has been restarted, Wine does not
// tell programs, so that is not seen here.
func (w *wine) testLogin(step func(string, ...any)) {
	w.t.Helper()
	w.down() // the last subtest's
	// A first program, so that Wine has its desktop, but not what draws it.
	first := w.startTray()
	if !poll(patience, func() bool { _, ok := w.icon(); return ok }) {
		w.t.Fatalf("no icon:\n%s", first.output())
	}
	w.killExplorer()
	first.signal(os.Kill)
	if !poll(patience, func() bool { _, ok := w.icon(); return !ok }) {
		w.t.Fatal("the icon is still there without a taskbar")
	}
	tray := w.startTray()
	if !poll(patience, func() bool { return strings.Contains(tray.output(), "waiting for the taskbar") }) {
		w.t.Fatalf("it does not wait for the taskbar:\n%s", tray.output())
	}
	step("without a taskbar: %s", strings.TrimSpace(ownLines(tray.output())))
	if at, ok := w.icon(); ok || tray.exited() {
		w.t.Errorf("there is an icon at %v, %v; it has ended: %v", at, ok, tray.exited())
	}
	startProcess(w.t, w.command("wine", "explorer", "/desktop"))
	begin := time.Now()
	if !poll(patience, func() bool { _, ok := w.icon(); return ok }) {
		w.t.Fatalf("no icon in the taskbar:\n%s", tray.output())
	}
	step("the icon is there %v after the taskbar was started", time.Since(begin).Round(time.Millisecond))
	tray.waitFor("menu", func(entries []entry) bool { return strings.Contains(labels(entries), "Quit") })
	tray.quit()
	if _, err := os.Stat(w.home("AppData/Roaming/porttray/porttray.log")); !errors.Is(err, fs.ErrNotExist) {
		w.t.Errorf("there is a log file (%v) though standard error is read", err)
	}
}
