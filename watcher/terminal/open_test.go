package terminal

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/owner/engine"
	"porttray/watcher/settings"
)

// TestPageOf has servers that a browser opens, and others that it does not.
func TestPageOf(t *testing.T) {
	web := listener(5432, owner.Process{PID: 1, Name: "node"}, "127.0.0.1")
	db := listener(5432, owner.Process{PID: 1, Name: "postgres"}, "127.0.0.1")
	db.Facts.Tool = owner.Tool{Name: "PostgreSQL", Kind: owner.Server}
	named, six := db, db
	named.Label = "Shop's data"
	six.Addrs = addrs("::1")
	inBox := db
	inBox.Owner = owner.Process{PID: 1, Name: "docker-proxy", Refusal: "forwards for a container or VM"}
	inBox.Container = engine.Container{ID: "c", Name: "shop-db-1"}
	for _, c := range []struct {
		name      string
		l         watcher.Listener
		rule      settings.Rule
		url, fail string
	}{
		{"a page", web, settings.Rule{}, "http://localhost:5432", ""},
		{"a database", db, settings.Rule{}, "", "5432 is no web server (PostgreSQL); connect to localhost:5432 instead"},
		{"a database that has a name", named, settings.Rule{}, "", "5432 is no web server (PostgreSQL: Shop's data); connect to localhost:5432 instead"},
		{"a database at another address", six, settings.Rule{}, "", "5432 is no web server (PostgreSQL); connect to [::1]:5432 instead"},
		{"a container", inBox, settings.Rule{}, "", "5432 is no web server (PostgreSQL: PostgreSQL · shop-db-1 (container)); connect to localhost:5432 instead"},
		{"a hidden owner", listener(3306, owner.Process{Foreign: true}, "127.0.0.1"), settings.Rule{}, "",
			"3306 is most likely no web server, because the port is usual for MySQL; connect to localhost:3306 instead"},
		{"a database that is none by a rule", db, settings.Rule{Scheme: "https"}, "https://localhost:5432", ""},
		{"a database with a page by a rule", db, settings.Rule{Path: "/admin"}, "http://localhost:5432/admin", ""},
	} {
		url, err := pageOf(t.Context(), c.l, c.rule, func(context.Context, watcher.Listener) string { return "http" })
		fail := ""
		if err != nil {
			fail = err.Error()
		}
		if url != c.url || fail != c.fail {
			t.Errorf("%s: got %q, %q, want %q, %q", c.name, url, fail, c.url, c.fail)
		}
	}
}

// TestOpenRefusesRedis has porttray open a real Redis: no browser is started, and Redis hears nothing.
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
	want := "porttray: open: " + port + " is no web server (Redis); connect to localhost:" + port + " instead\n"
	if err == nil || cmd.ProcessState.ExitCode() != 1 || string(out) != want {
		t.Errorf("wrote %q, %v, want %q", out, err, want)
	}
	if strings.Contains(log.String(), "ATTACK") || !strings.Contains(log.String(), "Ready to accept connections") {
		t.Errorf("Redis logged %s", log.String())
	}
}
