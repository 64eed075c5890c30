package tray

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// The icon can be about to change when the session ends, which systray takes amiss.
func TestIconOfAnEndedSession(t *testing.T) {
	if shared != nil {
		t.Skip("systray runs once in a process")
	}
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip(err) // the end-to-end tests insist on it
	}
	dir, err := filepath.Abs(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	bus := exec.Command(daemon, "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:dir="+dir)
	out, err := bus.StdoutPipe()
	if err == nil {
		err = bus.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Wait()
	defer bus.Process.Kill()
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(string(line[:n])))
	t.Setenv("DISPLAY", ":97")
	s, err := openSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	registered := make(chan struct{}, 1)
	err = s.conn.ExportMethodTable(map[string]any{
		"RegisterStatusNotifierItem": func(string) *dbus.Error { registered <- struct{}{}; return nil },
	}, watcherPath, watcherName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.conn.RequestName(watcherName, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	drawn, ended := make(chan struct{}), make(chan struct{})
	close(drawn)
	go func() {
		defer close(ended)
		runSystray(ctx, menu{}, func(node, face) {}, make(chan struct{}), drawn)
	}()
	<-registered // by now systray has all that it needs
	shared.Close()
	systrayFace{}.SetIcon(7, true)
	systrayFace{}.SetTooltip("gone")
	cancel()
	<-ended
}
