package server_test

import (
	"slices"
	"testing"

	"porttray/watcher/facts"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
	"porttray/watcher/server/servertest"
)

func scripted(program string) servertest.Trait {
	return func(l *server.Listener) { l.Facts.Program = program }
}
func workingIn(dir string) servertest.Trait { return func(l *server.Listener) { l.Owner.Dir = dir } }

func TestName(t *testing.T) {
	deno := facts.Tool{Name: "Deno", Kind: facts.Runner}
	tests := []struct {
		traits []servertest.Trait
		want   string
	}{
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("server.js")}, "shop · server.js"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("cmd/api/main.js")}, "shop · main.js"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("/opt/x/server.js")}, "shop · server.js"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("com.example.Main")}, "shop · com.example.Main"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("com.example.department.orders.Main")},
			"shop · department.orders.Main"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("a-script-whose-name-is-long.js")},
			"shop · a-script-whose-name-is-…"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("a\n\x1b[2J\u202e.js")}, "shop · a [2J.js"},
		{[]servertest.Trait{scripted("/opt/x/server.js")}, "server.js"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("shop")}, "shop"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("Shop")}, "shop"},
		{[]servertest.Trait{servertest.Project("acme/shop", "/x", ""), scripted("shop")}, "acme/shop"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("shop-api")}, "shop · shop-api"},
		{[]servertest.Trait{servertest.In(servertest.Shop), servertest.By(servertest.Vite), scripted("x.js")},
			"shop · Vite"},
		{[]servertest.Trait{servertest.In(servertest.Shop), servertest.By(deno), scripted("main.ts")},
			"shop · main.ts"},
		{[]servertest.Trait{servertest.In(servertest.Shop), servertest.By(deno)}, "shop · Deno"},
		{[]servertest.Trait{servertest.In(servertest.Shop), servertest.By(servertest.Gradle), scripted("shop")},
			"shop · Gradle"},
		{[]servertest.Trait{servertest.In(servertest.Shop), servertest.By(servertest.Gradle), scripted("main")},
			"shop · Gradle"},
		{[]servertest.Trait{servertest.In(servertest.Shop), scripted("main")}, "shop · main"},
	}
	for _, tt := range tests {
		if got := servertest.Serves(1, 1, tt.traits...).Name(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestTitles has servers with equal names, and checks the additions to their titles.
func TestTitles(t *testing.T) {
	const home = "/home/ann/"
	shopDB := servertest.Publishes(engine.Container{ID: "1", Service: "db", Project: "shop"})
	blogDB := servertest.Publishes(engine.Container{ID: "2", Service: "db", Project: "blog"})
	type row = []servertest.Trait
	tests := []struct {
		name string
		rows []row
		want []string
	}{
		{"packages of two monorepos", []row{
			{servertest.Project("frontend", home+"shopmono/frontend", "main"), servertest.By(servertest.Vite)},
			{servertest.Project("frontend", home+"blogmono/frontend", "main"), servertest.By(servertest.Vite)},
		}, []string{"frontend in shopmono · Vite", "frontend in blogmono · Vite"}},
		{"detached working trees in directories of one name", []row{
			{servertest.Project("acme", home+"a1/acme", ""), servertest.By(servertest.Vite)},
			{servertest.Project("acme", home+"b2/acme", ""), servertest.By(servertest.Vite)},
		}, []string{"acme in a1 · Vite", "acme in b2 · Vite"}},
		{"and the one that they belong to", []row{
			{servertest.Project("acme", home+"a1/acme", "")}, {servertest.Project("acme", home+"b2/acme", "")},
			{servertest.Project("acme", home+"acme", "main")},
		}, []string{"acme in a1 · node", "acme in b2 · node", "acme@main · node"}},
		{"detached working trees with names", []row{
			{servertest.Project("shop", home+"shop/.worktrees/old", "")},
			{servertest.Project("shop", home+"shop/.worktrees/new", "")},
		}, []string{"shop in old · node", "shop in new · node"}},
		{"branches, one of them twice", []row{
			{servertest.Project("shop", home+"a", "main")}, {servertest.Project("shop", home+"b", "main")},
			{servertest.Project("shop", home+"c", "cart")},
		}, []string{"shop@main in a · node", "shop@main in b · node", "shop@cart · node"}},
		{"directories that differ in two places", []row{
			{servertest.Project("web", home+"a/x/web", "")}, {servertest.Project("web", home+"a/y/web", "")},
			{servertest.Project("web", home+"b/x/web", "")},
		}, []string{"web in a · node", "web in y · node", "web in b · node"}},
		{"a directory within the other", []row{
			{servertest.Project("web", home+"web", "")}, {servertest.Project("web", home+"web/old", "")},
		}, []string{"web · node", "web in old · node"}},
		{"a longer path", []row{
			{servertest.Project("web", "/srv/web", "")}, {servertest.Project("web", "/srv/x/srv/web", "")},
		}, []string{"web · node", "web in x · node"}},
		{"classes in long packages", []row{
			{servertest.In(servertest.Shop), scripted("com.example.shop.orders.OrdersServiceMain")},
			{servertest.In(servertest.Shop), scripted("com.example.shop.a-package-with-a-long-name.Main")},
			{servertest.In(servertest.Shop), scripted("a-very-long-name.of-a-script.js")},
		}, []string{"shop · orders.OrdersServiceMain", "shop · Main", "shop · a-very-long-name.of-a-s…"}},
		{"no project", []row{{servertest.By(servertest.Vite), workingIn("/srv/a")},
			{servertest.By(servertest.Vite), workingIn("/srv/b")}},
			[]string{"Vite in a", "Vite in b"}},
		{"no difference", []row{{servertest.By(servertest.Vite), workingIn("/")},
			{servertest.By(servertest.Vite), workingIn("/")}}, []string{"Vite", "Vite"}},
		{"directories of hostile names", []row{
			{servertest.Project("web", home+"a\x1b[2J/web", "")}, {servertest.Project("web", home+"b\u202e/web", "")},
		}, []string{"web in a [2J · node", "web in b · node"}},

		{"scripts of one name in one project", []row{
			{servertest.In(servertest.Shop), scripted("cmd/api/main.js")},
			{servertest.In(servertest.Shop), scripted("cmd/web/main.js")},
			{servertest.In(servertest.Shop), scripted("main.js")}, {servertest.In(servertest.Shop), scripted("x.js")},
		}, []string{"shop · api/main.js", "shop · web/main.js", "shop · main.js", "shop · x.js"}},
		{"scripts of one name, deeper", []row{
			{servertest.In(servertest.Shop), scripted("api/src/main.js")},
			{servertest.In(servertest.Shop), scripted("web/src/main.js")},
		}, []string{"shop · api/src/main.js", "shop · web/src/main.js"}},
		{"scripts of one name in no project", []row{{scripted("/opt/a/x.py")}, {scripted("/opt/b/x.py")}},
			[]string{"a/x.py", "b/x.py"}},
		{"the same script in two projects of one name", []row{
			{servertest.Project("shop", home+"a/shop", ""), scripted("server.js")},
			{servertest.Project("shop", home+"b/shop", ""), scripted("server.js")},
		}, []string{"shop in a · server.js", "shop in b · server.js"}},
		{"the same script twice",
			[]row{{servertest.In(servertest.Shop), scripted("server.js")},
				{servertest.In(servertest.Shop), scripted("server.js")}},
			[]string{"shop · server.js", "shop · server.js"}},

		{"services of two compose projects", []row{{servertest.Forwarder, shopDB}, {servertest.Forwarder, blogDB}},
			[]string{"shop/db (container)", "blog/db (container)"}},
	}
	for _, tt := range tests {
		for range 3 { // because the order of maps is random
			var listeners []server.Listener
			for i, traits := range tt.rows {
				listeners = append(listeners, servertest.Serves(uint16(3000+i), int32(i+1), traits...))
			}
			var got []string
			servers := server.Servers(listeners, servertest.Dynamic)
			for _, s := range servers {
				got = append(got, s.Title)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
			}
		}
	}
}
