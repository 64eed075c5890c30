package terminal

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"porttray/watcher/explain"
	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// TestPageOf has servers for a browser and other servers.
func TestPageOf(t *testing.T) {
	web := listener(5432, owner.Process{PID: 1, Name: "node"}, "127.0.0.1")
	db := listener(5432, owner.Process{PID: 1, Name: "postgres"}, "127.0.0.1")
	db.Facts.Tool = facts.Tool{Name: "PostgreSQL", Kind: facts.Server}
	named, six := db, db
	named.Label = "Shop's data"
	six.Addrs = addrs("::1")
	inBox := db
	inBox.Owner = owner.Process{PID: 1, Name: "docker-proxy", Refusal: "forwards for a container or VM"}
	inBox.Container = engine.Container{ID: "c", Name: "shop-db-1"}
	for _, c := range []struct {
		name      string
		l         server.Listener
		rule      settings.Rule
		url, fail string
	}{
		{"a page", web, settings.Rule{}, "http://localhost:5432", ""},
		{"a database", db, settings.Rule{}, "",
			"5432 is not a web server (PostgreSQL); connect to localhost:5432 instead"},
		{"a database that has a name", named, settings.Rule{}, "",
			"5432 is not a web server (PostgreSQL: Shop's data); connect to localhost:5432 instead"},
		{"a database at another address", six, settings.Rule{}, "",
			"5432 is not a web server (PostgreSQL); connect to [::1]:5432 instead"},
		{"a container", inBox, settings.Rule{}, "",
			"5432 is not a web server (PostgreSQL: PostgreSQL · shop-db-1 (container)); connect to " +
				"localhost:5432 instead"},
		{"a hidden owner", listener(3306, owner.Process{Foreign: true}, "127.0.0.1"), settings.Rule{}, "",
			"3306 is probably not a web server, because this port is usual for MySQL; connect to " +
				"localhost:3306 instead"},
		{"a database that is none by a rule", db, settings.Rule{Scheme: "https"}, "https://localhost:5432", ""},
		{"a database with a page by a rule", db, settings.Rule{Path: "/admin"}, "http://localhost:5432/admin", ""},
	} {
		url, err := pageOf(t.Context(), c.l, netip.Addr{}, c.rule,
			func(context.Context, server.Listener) string { return "http" })
		fail := ""
		if err != nil {
			fail = err.Error()
		}
		if url != c.url || fail != c.fail {
			t.Errorf("%s: got %q, %q, want %q, %q", c.name, url, fail, c.url, c.fail)
		}
	}
}

// If two servers share a port, open asks for an address.
func TestToOpen(t *testing.T) {
	shop, blog := listener(5173, owner.Process{PID: 1, Name: "node"}, "127.0.0.1"),
		listener(5173, owner.Process{PID: 2, Name: "node"}, "::1")
	twin := listener(5173, owner.Process{PID: 3, Name: "node"}, "127.0.0.1")
	for _, c := range []struct {
		name, question string
		listeners      []server.Listener
		pid            int32
		literal, fail  string
	}{
		{"one", "5173", []server.Listener{shop}, 1, "", ""},
		{"one, by its name", "http://localhost:5173/x", []server.Listener{shop}, 1, "", ""},
		{"one of two, by its address", "127.0.0.1:5173", []server.Listener{shop, blog}, 1, "127.0.0.1", ""},
		{"the other", "[::1]:5173", []server.Listener{shop, blog}, 2, "::1", ""},
		{"two", "5173", []server.Listener{shop, blog}, 0, "",
			"2 servers listen on port 5173; say which one:\n  porttray open 127.0.0.1:5173"},
		{"two that cannot be told apart", "5173", []server.Listener{shop, twin}, 0, "",
			"2 servers listen on port 5173; say which one:\n  (no address leads"},
		{"none", "5173", nil, 0, "", "nothing listens on port 5173; porttray explain 5173 says more"},
		{"none at that address", "127.0.0.2:5173", []server.Listener{shop}, 0, "",
			"nothing listens on 127.0.0.2:5173; porttray explain 127.0.0.2:5173 says more"},
	} {
		q, err := explain.Parse(t.Context(), c.question)
		if err != nil {
			t.Fatal(err)
		}
		s, literal, err := toOpen(server.Servers(c.listeners, func(uint16) bool { return false }), q)
		want, _ := netip.ParseAddr(c.literal)
		if s.Owner.PID != c.pid || literal != want || (err != nil) != (c.fail != "") || err != nil &&
			!strings.HasPrefix(err.Error(), c.fail) {
			t.Errorf("%s: PID %d, %v, %v", c.name, s.Owner.PID, literal, err)
		}
	}
}

// A further port of one server can be the head port of another one. Each server still has its own address.
func TestToOpenAFurtherPort(t *testing.T) {
	blog := owner.Process{PID: 2, Start: 2, Name: "node"}
	now := snapshot(listener(3000, blog, "::1"), listener(5173, owner.Process{PID: 1, Start: 1, Name: "node"},
		"127.0.0.1"), listener(5173, blog, "::1"))
	for question, pid := range map[string]int32{"127.0.0.1:5173": 1, "[::1]:5173": 2} {
		q, err := explain.Parse(t.Context(), question)
		if err != nil {
			t.Fatal(err)
		}
		s, literal, err := toOpen(serversOn(now, 5173), q)
		if err != nil || s.Owner.PID != pid || netip.AddrPortFrom(literal, 5173).String() != question {
			t.Errorf("%s: PID %d, %v, %v", question, s.Owner.PID, literal, err)
		}
	}
}

// TestOpenRefusesRedis tries to open a real Redis. porttray starts no browser and sends nothing to Redis.
func TestOpenRefusesRedis(t *testing.T) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	redis := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	var log bytes.Buffer
	redis.Stdout = &log
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp4", "127.0.0.1:"+port); err == nil {
			conn.Close()
			break
		}
	}
	cmd := porttray(t, "open", port)
	out, err := cmd.CombinedOutput()
	_ = redis.Process.Signal(os.Interrupt) // fails if it has ended
	_ = redis.Wait()                       // likewise; only its log counts
	want := "porttray: open: " + port + " is not a web server (Redis); connect to localhost:" + port + " instead\n"
	if err == nil || cmd.ProcessState.ExitCode() != 1 || string(out) != want {
		t.Errorf("wrote %q, %v, want %q", out, err, want)
	}
	if strings.Contains(log.String(), "ATTACK") || !strings.Contains(log.String(), "Ready to accept connections") {
		t.Errorf("Redis logged %s", log.String())
	}
}
