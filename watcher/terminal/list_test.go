package terminal

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"porttray/watcher"
	"porttray/watcher/explain"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/port"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// many is a machine of some variety.
func many() watcher.Snapshot {
	web := listener(5173, owner.Process{PID: 4711, Start: 1, Name: "node", User: "x-ann", Since: at(8, 5, 59)},
		"127.0.0.1", "::1")
	web.Facts.Project, web.Facts.Tool = project.Project{Name: "shop", Dir: "/home/ann/code/shop"},
		facts.Tool{Name: "Vite", Kind: facts.Server}
	web.Facts.Command, web.Restarts = "cd /home/ann/code/shop && vite --secret=1", 2
	hmr := web
	hmr.Port, hmr.Addrs = 24678, []netip.Addr{netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::")}
	wide := listener(8000, owner.Process{PID: 32, Start: 1, Name: "python3", Since: at(9, 0, 0).AddDate(0, 0, -3)},
		"0.0.0.0")
	wide.Facts.Project.Name = "日本語のとても長いプロジェクト"
	wide.Facts.Tool = facts.Tool{Name: "Django", Kind: facts.Server}
	db := listener(5432, owner.Process{PID: 900, Start: 1, Name: "docker-proxy",
		Refusal: "forwards for a container or VM"}, "0.0.0.0")
	db.Container = engine.Container{ID: "c0ffee", Name: "shop-db-1", Image: "postgres:16", Project: "shop",
		Service: "db"}
	db.Facts.Tool = facts.Tool{Name: "PostgreSQL", Kind: facts.Server}
	hidden := listener(631, owner.Process{Foreign: true, User: "x-cups"}, "127.0.0.1", "::1")
	return snapshot(hidden, web, db, wide, hmr)
}

func TestTable(t *testing.T) {
	list, _ := listing{Snapshot: many(), all: true}.choose(port.System{})
	for name, s := range map[string]style{"piped": {}, "80": {width: 80}, "60": {width: 60}, "tiny": {width: 20},
		"colour": {width: 100, colour: true}} {
		t.Run(name, func(t *testing.T) {
			got := table(list, s, at(9, 30, 0))
			golden(t, "list_"+name+".txt", got)
			for line := range strings.Lines(string(got)) {
				if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); s.width >= 60 && !s.colour &&
					n > s.width {
					t.Errorf("%d columns wide: %s", n, line)
				}
			}
		})
	}
}

// TestListNames checks that the table names servers as the menu does.
func TestListNames(t *testing.T) {
	frontend := func(port uint16, pid int32, mono string) server.Listener {
		l := listener(port, owner.Process{PID: pid, Start: 1, Name: "node", Exe: "/usr/bin/node", Dir: "/srv/" + mono},
			"127.0.0.1")
		l.Facts.Project = project.Project{Name: "frontend", Dir: "/srv/" + mono + "/frontend"}
		return l
	}
	a, b := frontend(4100, 1, "shopmono"), frontend(4101, 2, "blogmono")
	a.Facts.Tool = facts.Tool{Name: "Vite", Kind: facts.Server}
	b.Facts.Tool = a.Facts.Tool
	script := frontend(4102, 3, "shopmono")
	script.Facts.Program = "server.js"
	run := frontend(4103, 4, "shopmono")
	run.Facts.Program, run.Facts.Tool = "src/index.ts", facts.Tool{Name: "Bun", Kind: facts.Runner}
	bare := frontend(4104, 5, "shopmono")
	bare.Facts.Program = "node"
	caddy := frontend(2019, 6, "shopmono")
	caddy.Facts.Tool = facts.Tool{Name: "Caddy", Kind: facts.Server}
	site := caddy
	site.Port = 8080
	list, _ := listing{Snapshot: snapshot(caddy, a, b, script, run, bare, site), all: true,
		ports: true}.choose(port.System{})
	var got []string
	for _, l := range list {
		got = append(got, fmt.Sprintf("%d %s | %s", l.Port, projectOf(l), toolOf(l)))
	}
	want := []string{"2019 frontend | Caddy (admin)", "4100 frontend in shopmono | Vite",
		"4101 frontend in blogmono | Vite",
		"4102 frontend | server.js", "4103 frontend | index.ts", "4104 frontend | ", "8080 frontend | Caddy"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestExposure(t *testing.T) {
	for want, l := range map[string]explain.Listener{
		"local":     {Risk: "database"},
		"network":   {Exposed: true},
		"network!":  {Exposed: true, Risk: "database"},
		"network! ": {Exposed: true, Widened: true},
	} {
		if got := exposure(l); got != strings.TrimSpace(want) {
			t.Errorf("%+v: got %q, want %q", l, got, want)
		}
	}
}

func TestListJSON(t *testing.T) {
	for name, commands := range map[string]bool{"list": false, "list_args": true} {
		list, _ := listing{Snapshot: many(), all: true, commands: commands}.choose(port.System{})
		var b bytes.Buffer
		if err := writeJSON(&b, list); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", b.Bytes())
		matches(t, "list.schema.json", b.Bytes())
		if !commands && strings.Contains(b.String(), "secret") {
			t.Error("a command line is listed without a request")
		}
	}
}

func TestChoose(t *testing.T) {
	for _, tt := range []struct {
		filter string
		all    bool
		want   string
		hidden int
	}{
		{"", false, "[5173+24678 5432 8000]", 1},
		{"", true, "[631 5173+24678 5432 8000]", 0},
		{"--ports", false, "[5173 5432 8000 24678]", 1},
		{"--ports", true, "[631 5173 5432 8000 24678]", 0},
		{"--ports 24678", false, "[24678]", 0},
		{"24678", false, "[5173+24678]", 0},
		{"5173", false, "[5173+24678]", 0},
		{":5173", false, "[5173+24678]", 0},
		{"5173 631", false, "[631 5173+24678]", 0},
		{"5000-5999", false, "[5173+24678 5432]", 0},
		{"5173-5173", false, "[5173+24678]", 0},
		{"SHOP", false, "[5173+24678 5432]", 0},
		{"postgres", false, "[5432]", 0},
		{"db-1", false, "[5432]", 0},
		{"python", false, "[8000]", 0},
		{"nothing", true, "[]", 0},
	} {
		words, ports := strings.CutPrefix(tt.filter, "--ports")
		filter, err := parseFilter(strings.Fields(words))
		if err != nil {
			t.Errorf("%q: %v", tt.filter, err)
			continue
		}
		list, hidden := listing{Snapshot: many(), filter: filter, all: tt.all, ports: ports}.choose(port.System{})
		chosen := []string{}
		for _, l := range list {
			text := fmt.Sprint(l.Port)
			for _, f := range l.Further {
				text += fmt.Sprintf("+%d", f.Port)
			}
			chosen = append(chosen, text)
		}
		if got := fmt.Sprint(chosen); got != tt.want || hidden != tt.hidden {
			t.Errorf("%q, all %t: chose %s and left out %d, want %s and %d", tt.filter, tt.all, got, hidden,
				tt.want, tt.hidden)
		}
	}
}

func TestSinceText(t *testing.T) {
	now := at(9, 30, 0)
	for want, since := range map[string]time.Time{
		"": {}, "09:00": at(9, 0, 0), "3 Mar 23:59": at(0, 0, 0).Add(-time.Minute), "4 Mar 2025": now.AddDate(-1, 0, 0),
	} {
		if got := sinceText(since, now); got != want {
			t.Errorf("%v: got %q, want %q", since, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 10, ""},
		{"one", 10, "one"},
		{"one two  three", 7, "one two|three"},
		{"overlongword is alone", 5, "overlongword|is|alone"},
		{"日本 語", 5, "日本|語"},
	} {
		if got := strings.Join(wrap(tt.text, tt.width), "|"); got != tt.want {
			t.Errorf("%q in %d columns: got %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}
