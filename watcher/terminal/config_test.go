package terminal

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"porttray/watcher"
	"porttray/watcher/port"
	"porttray/watcher/settings"
)

var someSettings = settings.Settings{Interval: settings.Interval(2 * time.Second), Terminal: "kitty",
	Rules: []settings.Rule{
		{Port: settings.Ports{First: 5173, Last: 5173}, Label: "Shop", Path: "/admin", Scheme: "https", Pin: true},
		{Port: settings.Ports{First: 8000, Last: 8999}, Process: "python*", Show: settings.ShowOther,
			Notify: settings.NotifyNever},
		{Project: "x\x1b[2J", Directory: "~/y", Show: settings.ShowNever},
	}}

func TestConfigText(t *testing.T) {
	golden(t, "config.txt", configText("/home/ann/.config/porttray/config.toml", someSettings))
	golden(t, "config_none.txt", configText("/home/ann/.config/porttray/config.toml", settings.Settings{}))
	var b bytes.Buffer
	if err := writeJSON(&b, inForce{"/home/ann/.config/porttray/config.toml", someSettings}); err != nil {
		t.Fatal(err)
	}
	golden(t, "config.json", b.Bytes())
	matches(t, "config.schema.json", b.Bytes())
}

// TestListHeedsRules checks that rules change the list.
func TestListHeedsRules(t *testing.T) {
	before := many()
	got := map[uint16]string{}
	list, _ := listing{Snapshot: before, all: true, ports: true, rules: someSettings}.choose(port.System{})
	for _, l := range list {
		got[l.Port] = l.Label + " " + l.Section
	}
	for port, want := range map[uint16]string{5173: "Shop main", 8000: " other", 5432: " main", 631: " other",
		24678: " main"} {
		if got[port] != want {
			t.Errorf("%d is %q, want %q", port, got[port], want)
		}
	}
	if before.Listeners[1].Label != "" {
		t.Error("the snapshot itself was changed")
	}
}

// TestFollowerHeedsRules has events of a hidden server and of a server with a label.
func TestFollowerHeedsRules(t *testing.T) {
	f := follower{rules: someSettings}
	f.write = f.lines
	all := many().Listeners
	f.tell(watcher.Update{Snapshot: snapshot()}, at(9, 30, 0))
	u := watcher.Update{Snapshot: snapshot(all[1], all[3]), Events: []watcher.Event{{Server: only(all[1])},
		{Server: only(all[3])}}}
	if got := string(f.tell(u, at(9, 30, 1))); !strings.HasPrefix(got, "09:30:01  opened  5173  Shop (PID 4711)") ||
		strings.Count(got, "\n") != 1 {
		t.Errorf("wrote\n%s", got)
	}
}

// TestConfig runs the commands with a valid file, an invalid file, and no file.
func TestConfig(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the file is elsewhere")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "porttray", "config.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	number := listen(t)
	run := func(text string, code int, want string, args ...string) {
		t.Helper()
		if text == "" {
			os.Remove(file)
		} else if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := porttray(t, args...)
		cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+dir)
		out, _ := cmd.CombinedOutput()
		if !regexp.MustCompile(want).Match(out) || cmd.ProcessState.ExitCode() != code {
			t.Errorf("%q: exit status %d, want %d; wrote\n%s\nwhich does not match %s", args,
				cmd.ProcessState.ExitCode(), code, out, want)
		}
	}
	place := regexp.QuoteMeta(file)
	run("", 0, "^file      "+place+"\ninterval  1s\nterminal  -\n$", "config")
	run("", 0, "^"+place+` has no mistakes; it has 0 rules\.\n$`, "config", "check")
	good := "interval = \"5s\"\n[[rule]]\nport = " + number + "\nlabel = \"Mine\"\n"
	run(good, 0, "interval  5s\n(.*\n)*rule 1    port = \""+number+"\", label = \"Mine\"\n$", "config")
	run(good, 0, "^"+place+` has no mistakes; it has 1 rule\.\n$`, "config", "check")
	run(good, 0, "^PORT.*\n"+number+" +Mine ", "list", number)
	bad := good + "shwo = \"main\"\n"
	run(bad, 1, "^"+place+`:5:1: there is no "shwo"; a rule has .*\n$`, "config", "check")
	run(bad, 1, `^porttray: config: config\.toml line 5: there is no "shwo"`, "config")
	run(bad, 0, `(?s)^porttray: list: config\.toml line 5: .*; the settings are ignored\nPORT.*\n`+number,
		"list", number)
	run(bad, 0, `settings +the settings are ignored: config\.toml line 5`, "doctor")
	run(bad, 2, `^porttray: config: "chekc": `, "config", "chekc")
}

// TestOpenHeedsRules opens a server that has a rule with a label, a scheme and a path.
func TestOpenHeedsRules(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the directory for settings is another one")
	}
	dir, port := t.TempDir(), listen(t)
	file := filepath.Join(dir, "porttray", "config.toml")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("[[rule]]\nport = "+port+"\nlabel = \"Shop\"\nscheme = \"https\"\npath = "+
		"\"/admin\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := porttray(t, "open", port)
	cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+dir)
	url := "https://localhost:" + port + "/admin"
	if out, err := cmd.Output(); string(out) != "a browser at "+url+"\nOpened "+url+": Shop\n" || err != nil {
		t.Errorf("wrote %q, %v", out, err)
	}
}
