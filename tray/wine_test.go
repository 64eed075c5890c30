//go:build linux

package tray_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A wine is a Windows system of Wine, in a desktop with a screen. The README lists its limits.
type wine struct {
	*screen
	prefix  string // the directory with drive C and the registry
	program string // porttray.exe
}

// startWine makes a new Wine prefix for Windows 10.
func (s *screen) startWine() *wine {
	s.t.Helper()
	program := windowsProgram(s.t, "porttray", false, "-ldflags=-H windowsgui")
	w := &wine{s, s.path("wine"), program}
	path, server := tool(s.t, "wine"), tool(s.t, "wineserver")
	for key, value := range map[string]string{
		"WINEPREFIX": w.prefix, "WINEARCH": "win64", "WINEDEBUG": "-all",
		"WINEDLLOVERRIDES": "mscoree,mshtml=", // they would offer to install Mono and Gecko
	} {
		s.setenv(key, value)
	}
	s.t.Cleanup(func() {
		for _, arg := range []string{"-k", "-w"} { // end everything; wait for that
			if _, errs, code := s.run(server, arg); code != 0 && !(arg == "-k" && code == 2) { // 2: nothing runs
				s.t.Errorf("wineserver %s: %d, %s", arg, code, errs)
			}
		}
	})
	if out, errs, code := s.run(path, "wineboot", "-i"); code != 0 {
		s.t.Fatalf("make the prefix: %d\n%s%s", code, out, errs)
	}
	library := w.drive("windows/system32/bcryptprimitives.dll")
	if _, err := os.Stat(library); errors.Is(err, fs.ErrNotExist) {
		gcc := tool(s.t, "x86_64-w64-mingw32-gcc-win32")
		if out, err := exec.Command(gcc, "-shared", "-O1", "-s", "-o", library, "../.ci/bcryptprimitives.c",
			"-ladvapi32").CombinedOutput(); err != nil {
			s.t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, errs, code := s.run(path, "winecfg", "-v", "win10"); code != 0 {
		s.t.Fatalf("choose Windows 10: %d\n%s%s", code, out, errs)
	}
	w.down()
	return w
}

// down waits until Wine has shut down. It does so after its last program has ended. A program that starts meanwhile
// gets no desktop.
func (w *wine) down() {
	w.t.Helper()
	if _, errs, code := w.run(tool(w.t, "wineserver"), "-w"); code != 0 {
		w.t.Fatalf("wait for Wine: %d\n%s", code, errs)
	}
}

// drive returns the path of a file on drive C.
func (w *wine) drive(file string) string { return filepath.Join(w.prefix, "drive_c", file) }

// home returns the path of a file in the user's directory.
func (w *wine) home(file string) string {
	w.t.Helper()
	homes, err := filepath.Glob(w.drive("users/*/AppData"))
	if err != nil || len(homes) != 1 {
		w.t.Fatalf("want one user directory, got %q, %v", homes, err)
	}
	return filepath.Join(filepath.Dir(homes[0]), file)
}

// startListener starts a listening Windows program and returns it with its port. path is the test binary of owner, in
// the role "obedient".
func (w *wine) startListener(path string) (*process, uint16) {
	w.t.Helper()
	cmd := w.command("wine", path)
	cmd.Env = append(cmd.Env, "PORTTRAY_TEST_ROLE=obedient")
	in, end, err := os.Pipe() // the program ends when its input is closed
	if err != nil {
		w.t.Fatal(err)
	}
	defer in.Close()
	w.t.Cleanup(func() { end.Close() })
	cmd.Stdin = in
	p := startProcess(w.t, cmd)
	var port uint64
	if !poll(patience, func() bool {
		port, err = strconv.ParseUint(strings.TrimSpace(p.output()), 10, 16)
		return err == nil || p.exited()
	}) || err != nil {
		w.t.Fatalf("the listener said %q, %v", p.output(), err)
	}
	return p, uint16(port)
}

// explorer returns the PIDs of Wine's explorer. Its taskbar passes icons on to the panel.
func (w *wine) explorer() []int {
	var found []int
	paths, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is valid
	for _, path := range paths {
		env, _ := os.ReadFile(path) // empty if the process has ended or belongs to another user
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if bytes.Contains(env, []byte("WINEPREFIX="+w.prefix+"\x00")) && bytes.Contains(line, []byte(`\explorer.exe`)) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path))) // the pattern has digits there
			found = append(found, pid)
		}
	}
	return found
}

// windowsProgram builds a package for Windows and returns the path. With test it builds the package's test binary.
func windowsProgram(t testing.TB, pkg string, test bool, flags ...string) string {
	t.Helper()
	path := filepath.Join(buildDir, strings.ReplaceAll(pkg, "/", "-")+".exe")
	args := []string{"build", "-buildvcs=false", "-race=false"}
	if test {
		path = strings.TrimSuffix(path, ".exe") + ".test.exe"
		args = []string{"test", "-c", "-race=false", "-vet=off"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(append(args, flags...), "-o", path, pkg)...)
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := offline(t, cmd); err != nil {
		t.Fatalf("build %s for Windows: %v\n%s", pkg, err, out)
	}
	return path
}

// A testRun is the result of the tests of a package.
type testRun struct {
	passed, skipped []string
	failed          map[string]string // output by test
	cleaned         int               // number of tests that failed only because Wine cannot remove a directory
}

// testPackage runs the tests of a package in Wine, from the directory of the package as the go command does.
func (w *wine) testPackage(pkg, skip string) testRun {
	w.t.Helper()
	program := windowsProgram(w.t, "porttray/"+pkg, true)
	// Run it by cmd, so that it has a parent process.
	cmd := w.command("wine", "cmd", "/c", program, "-test.v=test2json", "-test.timeout=3m", "-test.skip="+skip)
	cmd.Dir = filepath.Join("..", pkg)
	p := startProcess(w.t, cmd)
	if _, err := p.wait(4 * time.Minute); err != nil {
		w.t.Fatalf("%s: %v\n%s", pkg, err, p.output())
	}
	convert := exec.Command("go", "tool", "test2json")
	convert.Stdin = strings.NewReader(p.output())
	events, err := convert.Output()
	if err != nil {
		w.t.Fatal(err)
	}
	return judgeTests(w.t, events)
}

// judgeTests reads the events of test2json. Wine before 9.0 does not support the first way in which os.RemoveAll
// removes files, so tests fail when they remove their directory. A test without another failure counts as passed.
func judgeTests(t testing.TB, events []byte) testRun {
	t.Helper()
	run := testRun{failed: map[string]string{}}
	said := map[string][]string{}
	unclean := regexp.MustCompile(`TempDir RemoveAll cleanup: .*: Invalid function\.$`)
	ended := false
	for decoder := json.NewDecoder(bytes.NewReader(events)); ; {
		var e struct{ Action, Test, Output string }
		if err := decoder.Decode(&e); err != nil {
			break // the end
		}
		switch {
		case e.Test == "":
			ended = ended || e.Action == "pass" || e.Action == "fail"
		case e.Action == "output":
			line := strings.TrimSpace(e.Output)
			if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
				said[e.Test] = append(said[e.Test], line)
			}
		case e.Action == "pass":
			run.passed = append(run.passed, e.Test)
		case e.Action == "skip":
			run.skipped = append(run.skipped, e.Test)
		case e.Action == "fail" && slices.IndexFunc(said[e.Test],
			func(line string) bool { return !unclean.MatchString(line) }) < 0:
			// A test that fails only because of its subtests has no output either. The subtests count by themselves.
			run.passed = append(run.passed, e.Test)
			run.cleaned++
		case e.Action == "fail":
			run.failed[e.Test] = strings.Join(said[e.Test], "\n")
		}
	}
	if !ended {
		t.Fatalf("the tests did not end:\n%s", events)
	}
	return run
}

// A wineTray is the program in the panel. Wine logs the contents of menus on its debug channel menu.
type wineTray struct {
	*wine
	*process
}

// startTray starts the program. It has no window to query, so the tests search the screen for the icon.
func (w *wine) startTray() *wineTray {
	w.t.Helper()
	// At times Wine gets into a loop and logs gigabytes of useless lines.
	const lines = `^[0-9a-f]+:trace:menu:(show_popup|calc_menu_item_size) |^time=|^panic|^fatal`
	cmd := w.command(tool(w.t, "bash"), "-c", `exec "${@:2}" > >(exec grep --line-buffered -E "$1") 2>&1`, "bash",
		lines, "wine", w.program)
	cmd.Env = append(cmd.Env, "WINEDEBUG=-all,+menu")
	return &wineTray{w, startProcess(w.t, cmd)}
}

// iconColour is the main colour of the icon.
var iconColour = color.RGBA{0x0D, 0x85, 0x77, 255}

// icon returns the centre of the icon in the panel, false if there is none.
func (w *wine) icon() (image.Point, bool) {
	w.t.Helper()
	at, n := w.find(iconColour, image.Rect(0, 0, 200, panelHeight))
	return at.Min.Add(at.Max).Div(2), n > 60
}

// An entry is a menu entry without its submenu.
type entry struct {
	label    string
	grey     bool
	children bool
}

var (
	shownMenu  = regexp.MustCompile(`(?m)^[0-9a-f]+:trace:menu:show_popup `)
	shownEntry = regexp.MustCompile(`(?m)^[0-9a-f]+:trace:menu:calc_menu_item_size dc=.* item \{ (.*) \}\s*$`)
	entryLabel = regexp.MustCompile(`Text=L"((?:[^"\\]|\\.)*)"`)
	escapes    = regexp.MustCompile(`\\(?:[0-9a-f]{4}|.)`)
)

// shown returns the entries of the latest menu, without separators, and the number of menus shown so far.
func (t *wineTray) shown() (entries []entry, menus int) {
	log := t.output()
	starts := shownMenu.FindAllStringIndex(log, -1)
	if len(starts) == 0 {
		return nil, 0
	}
	for _, found := range shownEntry.FindAllStringSubmatch(log[starts[len(starts)-1][0]:], -1) {
		label := entryLabel.FindStringSubmatch(found[1])
		if label == nil {
			continue
		}
		entries = append(entries, entry{
			label: escapes.ReplaceAllStringFunc(label[1], func(s string) string {
				if code, err := strconv.ParseUint(s[1:], 16, 16); err == nil && len(s) == 5 {
					return string(rune(code))
				}
				return s[1:]
			}),
			grey:     strings.Contains(found[1], "State=grey"),
			children: strings.Contains(found[1], "Sub=0x"),
		})
	}
	return entries, len(starts)
}

// press presses keys. Without a window manager they go to the window under the pointer.
func (t *wineTray) press(keys ...string) {
	t.t.Helper()
	if _, errs, code := t.run(tool(t.t, "xdotool"), append([]string{"key", "--delay", "100"}, keys...)...); code != 0 {
		t.t.Fatalf("press %q: %s", keys, errs)
	}
}

// next waits for a menu beyond those shown so far, and returns its entries.
func (t *wineTray) next(menus int) []entry {
	t.t.Helper()
	entries, ok := t.nextWithin(10*time.Second, menus)
	if !ok {
		t.t.Fatalf("no new menu after the first %d", menus)
	}
	return entries
}

func (t *wineTray) nextWithin(limit time.Duration, menus int) (entries []entry, ok bool) {
	complete := func() bool {
		before := entries
		var n int
		entries, n = t.shown()
		return n > menus && len(entries) > 0 && slices.Equal(before, entries)
	}
	return entries, poll(limit, complete)
}

// open opens the menu by a click, and returns its entries. The click can hit remains of the last menu, so open tries up
// to three times.
func (t *wineTray) open() []entry {
	t.t.Helper()
	for range 3 {
		if entries, ok := t.tryOpen(); ok {
			return entries
		}
		t.dismiss()
	}
	t.t.Fatal("the menu does not open")
	return nil
}

// tryOpen tries once. It holds the button for a moment, because Wine needs that.
func (t *wineTray) tryOpen() ([]entry, bool) {
	t.t.Helper()
	var at image.Point
	if !poll(5*time.Second, func() (ok bool) { at, ok = t.icon(); return ok }) {
		return nil, false
	}
	_, menus := t.shown()
	move := func(x, y int) []string { return []string{"mousemove", strconv.Itoa(x), strconv.Itoa(y), "sleep", ".2"} }
	args := slices.Concat(move(at.X, at.Y), []string{"mousedown", "3", "sleep", ".2", "mouseup", "3", "sleep", ".3"},
		move(at.X+6, 8))
	if _, errs, code := t.run(tool(t.t, "xdotool"), args...); code != 0 {
		t.t.Fatal(errs)
	}
	return t.nextWithin(5*time.Second, menus)
}

// choose opens the menu and follows label prefixes down to an entry. It returns the submenu of the entry. If the entry
// has none, choose clicks it.
func (t *wineTray) choose(labels ...string) []entry {
	t.t.Helper()
	return t.enter(t.open(), labels...)
}

// enter is choose in an open menu with these entries.
func (t *wineTray) enter(entries []entry, labels ...string) []entry {
	t.t.Helper()
	for _, label := range labels {
		i := slices.IndexFunc(entries, func(e entry) bool { return strings.HasPrefix(e.label, label) })
		if i < 0 || entries[i].grey {
			t.t.Fatalf("cannot choose %q among %+v", label, entries)
		}
		keys := append([]string{"Home"}, slices.Repeat([]string{"Down"}, i)...)
		if !entries[i].children {
			t.press(append(keys, "Return")...)
			return nil
		}
		_, menus := t.shown()
		t.press(append(keys, "Right")...)
		entries = t.next(menus)
	}
	return entries
}

// dismiss closes the menu and its submenus.
func (t *wineTray) dismiss() {
	t.t.Helper()
	t.press("Escape", "Escape", "Escape")
}

// waitFor opens the menu repeatedly until ok accepts the entries of the submenu with these labels. Wine does not log
// changes of an open menu.
func (t *wineTray) waitFor(what string, ok func([]entry) bool, labels ...string) []entry {
	t.t.Helper()
	var entries []entry
	if !poll(patience, func() bool {
		entries = t.open()
		for _, label := range labels {
			if !slices.ContainsFunc(entries, func(e entry) bool { return strings.HasPrefix(e.label, label) }) {
				t.dismiss()
				time.Sleep(time.Second)
				return false
			}
		}
		t.dismiss()
		if len(labels) > 0 {
			entries = t.choose(labels...)
			t.dismiss()
		}
		return ok(entries)
	}) {
		t.t.Fatalf("no %s; the last menu was %+v", what, entries)
	}
	return entries
}

// labels returns the entries of a menu as text, one a line.
func labels(entries []entry) string {
	var b strings.Builder
	for _, e := range entries {
		label := e.label
		if e.grey {
			label = "(" + label + ")"
		}
		if e.children {
			label += " ▸"
		}
		fmt.Fprintln(&b, label)
	}
	return b.String()
}

// quit ends the program by the entry Quit.
func (t *wineTray) quit() {
	t.t.Helper()
	t.choose("Quit")
	if code, err := t.wait(patience); code != 0 || err != nil {
		t.t.Errorf("it ended with %d, %v", code, err)
	}
	if !poll(patience, func() bool { _, shown := t.icon(); return !shown }) {
		t.t.Error("the icon of a program that has ended is still there")
	}
}

// killExplorer kills Wine's explorer, and with it the taskbar.
func (w *wine) killExplorer() {
	w.t.Helper()
	for _, pid := range w.explorer() {
		syscall.Kill(pid, syscall.SIGKILL) // fails when it has ended
	}
	if !poll(patience, func() bool { return len(w.explorer()) == 0 }) {
		w.t.Fatal("the explorer does not end")
	}
}
