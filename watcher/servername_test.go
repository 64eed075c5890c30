package watcher

import (
	"slices"
	"testing"

	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
)

func scripted(program string) trait { return func(l *Listener) { l.Facts.Program = program } }
func workingIn(dir string) trait    { return func(l *Listener) { l.Owner.Dir = dir } }

func project(name, dir, branch string) trait {
	return in(owner.Project{Name: name, Dir: dir, Branch: branch})
}

func TestName(t *testing.T) {
	deno := owner.Tool{Name: "Deno", Kind: owner.Runner}
	tests := []struct {
		traits []trait
		want   string
	}{
		{[]trait{in(shop), scripted("server.js")}, "shop · server.js"},
		{[]trait{in(shop), scripted("cmd/api/main.js")}, "shop · main.js"},
		{[]trait{in(shop), scripted("/opt/x/server.js")}, "shop · server.js"},
		{[]trait{in(shop), scripted("com.example.Main")}, "shop · com.example.Main"},
		{[]trait{in(shop), scripted("com.example.department.orders.Main")}, "shop · department.orders.Main"},
		{[]trait{in(shop), scripted("a-script-whose-name-is-long.js")}, "shop · a-script-whose-name-is-…"},
		{[]trait{in(shop), scripted("a\n\x1b[2J\u202e.js")}, "shop · a [2J.js"},
		{[]trait{scripted("/opt/x/server.js")}, "server.js"},
		{[]trait{in(shop), scripted("shop")}, "shop"},
		{[]trait{in(shop), scripted("Shop")}, "shop"},
		{[]trait{project("acme/shop", "/x", ""), scripted("shop")}, "acme/shop"},
		{[]trait{in(shop), scripted("shop-api")}, "shop · shop-api"},
		{[]trait{in(shop), by(vite), scripted("x.js")}, "shop · Vite"},
		{[]trait{in(shop), by(deno), scripted("main.ts")}, "shop · main.ts"},
		{[]trait{in(shop), by(deno)}, "shop · Deno"},
		{[]trait{in(shop), by(gradle), scripted("shop")}, "shop · Gradle"},
		{[]trait{in(shop), by(gradle), scripted("main")}, "shop · Gradle"},
		{[]trait{in(shop), scripted("main")}, "shop · main"},
	}
	for _, tt := range tests {
		if got := serves(1, 1, tt.traits...).Name(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestTitles has servers with equal names, and checks the additions to their titles.
func TestTitles(t *testing.T) {
	const home = "/home/ann/"
	shopDB := publishes(engine.Container{ID: "1", Service: "db", Project: "shop"})
	blogDB := publishes(engine.Container{ID: "2", Service: "db", Project: "blog"})
	type row = []trait
	tests := []struct {
		name string
		rows []row
		want []string
	}{
		{"packages of two monorepos", []row{
			{project("frontend", home+"shopmono/frontend", "main"), by(vite)},
			{project("frontend", home+"blogmono/frontend", "main"), by(vite)},
		}, []string{"frontend in shopmono · Vite", "frontend in blogmono · Vite"}},
		{"detached working trees in directories of one name", []row{
			{project("acme", home+"a1/acme", ""), by(vite)}, {project("acme", home+"b2/acme", ""), by(vite)},
		}, []string{"acme in a1 · Vite", "acme in b2 · Vite"}},
		{"and the one that they belong to", []row{
			{project("acme", home+"a1/acme", "")}, {project("acme", home+"b2/acme", "")},
			{project("acme", home+"acme", "main")},
		}, []string{"acme in a1 · node", "acme in b2 · node", "acme@main · node"}},
		{"detached working trees with names", []row{
			{project("shop", home+"shop/.worktrees/old", "")}, {project("shop", home+"shop/.worktrees/new", "")},
		}, []string{"shop in old · node", "shop in new · node"}},
		{"branches, one of them twice", []row{
			{project("shop", home+"a", "main")}, {project("shop", home+"b", "main")},
			{project("shop", home+"c", "cart")},
		}, []string{"shop@main in a · node", "shop@main in b · node", "shop@cart · node"}},
		{"directories that differ in two places", []row{
			{project("web", home+"a/x/web", "")}, {project("web", home+"a/y/web", "")},
			{project("web", home+"b/x/web", "")},
		}, []string{"web in a · node", "web in y · node", "web in b · node"}},
		{"a directory within the other", []row{
			{project("web", home+"web", "")}, {project("web", home+"web/old", "")},
		}, []string{"web · node", "web in old · node"}},
		{"a longer path", []row{
			{project("web", "/srv/web", "")}, {project("web", "/srv/x/srv/web", "")},
		}, []string{"web · node", "web in x · node"}},
		{"classes in long packages", []row{
			{in(shop), scripted("com.example.shop.orders.OrdersServiceMain")},
			{in(shop), scripted("com.example.shop.a-package-with-a-long-name.Main")},
			{in(shop), scripted("a-very-long-name.of-a-script.js")},
		}, []string{"shop · orders.OrdersServiceMain", "shop · Main", "shop · a-very-long-name.of-a-s…"}},
		{"no project", []row{{by(vite), workingIn("/srv/a")}, {by(vite), workingIn("/srv/b")}},
			[]string{"Vite in a", "Vite in b"}},
		{"no difference", []row{{by(vite), workingIn("/")}, {by(vite), workingIn("/")}}, []string{"Vite", "Vite"}},
		{"directories of hostile names", []row{
			{project("web", home+"a\x1b[2J/web", "")}, {project("web", home+"b\u202e/web", "")},
		}, []string{"web in a [2J · node", "web in b · node"}},

		{"scripts of one name in one project", []row{
			{in(shop), scripted("cmd/api/main.js")}, {in(shop), scripted("cmd/web/main.js")},
			{in(shop), scripted("main.js")}, {in(shop), scripted("x.js")},
		}, []string{"shop · api/main.js", "shop · web/main.js", "shop · main.js", "shop · x.js"}},
		{"scripts of one name, deeper", []row{
			{in(shop), scripted("api/src/main.js")}, {in(shop), scripted("web/src/main.js")},
		}, []string{"shop · api/src/main.js", "shop · web/src/main.js"}},
		{"scripts of one name in no project", []row{{scripted("/opt/a/x.py")}, {scripted("/opt/b/x.py")}},
			[]string{"a/x.py", "b/x.py"}},
		{"the same script in two projects of one name", []row{
			{project("shop", home+"a/shop", ""), scripted("server.js")},
			{project("shop", home+"b/shop", ""), scripted("server.js")},
		}, []string{"shop in a · server.js", "shop in b · server.js"}},
		{"the same script twice", []row{{in(shop), scripted("server.js")}, {in(shop), scripted("server.js")}},
			[]string{"shop · server.js", "shop · server.js"}},

		{"services of two compose projects", []row{{forwarder, shopDB}, {forwarder, blogDB}},
			[]string{"shop/db (container)", "blog/db (container)"}},
	}
	for _, tt := range tests {
		for range 3 { // because the order of maps is random
			var listeners []Listener
			for i, traits := range tt.rows {
				listeners = append(listeners, serves(uint16(3000+i), int32(i+1), traits...))
			}
			var got []string
			servers := Servers(listeners, dynamic)
			for _, s := range servers {
				got = append(got, s.Title)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}
