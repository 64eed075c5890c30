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

// These are the promises for Windows, as far as Wine can check them. Wine lists listeners without owners, so all are
// under Other. The tests of owner check that a process is ended by its handle.

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
		for _, pkg := range []string{"assets", "watcher", "watcher/facts", "watcher/owner", "watcher/owner/engine",
			"watcher/port", "watcher/project", "watcher/server", "watcher/terminal", "watcher/trusted",
			"tray"} {
			// Wine before 9.0 reports success for a symbolic link, but makes none.
			const skip = "^TestWriteChoicesThroughALink$"
			run := w.testPackage(pkg, skip)
			if len(run.failed) > 0 {
				// Under load, Wine sometimes fails to start a process ("Internal error"). Only a second failure counts.
				step("tests of %s that failed, which are run again: %q", pkg, slices.Sorted(maps.Keys(run.failed)))
				again := w.testPackage(pkg, skip)
				maps.DeleteFunc(run.failed, func(test, _ string) bool { return again.failed[test] == "" })
				run.passed = append(run.passed, again.passed...)
			}
			for _, test := range slices.Sorted(maps.Keys(run.failed)) {
				t.Errorf("%s: %s: %s", pkg, test, run.failed[test])
			}
			step("tests of %s: %d passed, %d of them but for their directory, %d skipped", pkg, len(run.passed),
				run.cleaned, len(run.skipped))
			for _, test := range map[string][]string{
				"watcher/owner": {"TestEnd/killed", "TestEndMissesNobody/an_earlier_process_of_that_PID",
					"TestEndMissesNobody/a_later_process_of_that_PID"},
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

// in returns the same Windows for a subtest. Processes of the subtest end with it.
func (w *wine) in(t *testing.T) *wine {
	d := *w.testDesktop
	d.t = t
	s := *w.screen
	s.testDesktop = &d
	return &wine{&s, w.prefix, w.program}
}

// testTerminal runs the commands with pipes, and makes sure that events arrive.
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

// testTray uses the menu.
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
	time.Sleep(10 * time.Second) // time for its row, even with slow scans
	if text := labels(tray.enter(entries, "Other")); strings.Contains(text, row(late.ports[0])) {
		w.t.Errorf("the open menu changed to\n%s", text)
	}
	tray.dismiss()
	tray.waitFor("row of what came while the menu was open",
		func(entries []entry) bool { return strings.Contains(labels(entries), row(late.ports[0])) }, "Other")
	late.signal(os.Kill)
	step("the open menu was held")

	windows.signal(os.Kill)
	listed = tray.waitFor("menu without a listener that has ended",
		func(entries []entry) bool { return !strings.Contains(labels(entries), row(port)) }, "Other")
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

	// Wine has no Windows Runtime, so this is a balloon. That is no error.
	tray.choose("Settings", "About porttray")
	if !stays(2*time.Second, func() bool { return !strings.Contains(tray.output(), "notifications cannot be sent") }) {
		w.t.Error("notifications cannot be sent")
	}
	tray.quit()
	if log := ownLines(tray.output()); log != "" {
		w.t.Errorf("the log has\n%s", log)
	}
	step("it has ended by its menu")
}

// ownLines returns the program's own log lines, without those of Wine.
func ownLines(log string) string {
	var own []string
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "time=") {
			own = append(own, line)
		}
	}
	return strings.Join(own, "")
}

// testLogin starts the program without a taskbar, as can happen at login. Wine does not report a restarted taskbar to
// programs, so this test leaves that out.
func (w *wine) testLogin(step func(string, ...any)) {
	w.t.Helper()
	w.down() // waits for the end of the last subtest's Windows
	// A first program starts Wine's desktop. Then the test kills the taskbar.
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
