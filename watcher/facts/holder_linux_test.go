package facts

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"testing"

	"porttray/watcher/project/projecttest"
)

// TestAppsProject covers managers with apps in one project, in two, and in none.
func TestAppsProject(t *testing.T) {
	home := projecttest.TempHome(t)
	projecttest.Plant(t, home,
		map[string]string{"shop/package.json": `{"name":"shop"}`, "shop/api/": "",
			"blog/package.json": `{"name":"blog"}`, ".pm2/modules/x/": ""})
	for _, c := range []struct {
		dirs []string
		want string
	}{
		{[]string{"shop"}, "shop"},
		{[]string{"shop", "shop/api"}, "shop"},
		{[]string{"shop", ".pm2/modules/x"}, "shop"},
		{[]string{"shop", "blog"}, ""},
		{[]string{"shop", "/"}, ""},
		{nil, ""},
	} {
		script := ""
		for _, dir := range c.dirs {
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(home, dir)
			}
			script += "cd '" + dir + "' && { exec sleep 600 <&- >&- & }\n"
		}
		cmd := exec.Command("sh", "-c", script+"echo ready; read end; kill $(cat /proc/$$/task/$$/children); :")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Skip(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if len(children(int32(cmd.Process.Pid))) != len(c.dirs) {
			t.Skip("this kernel does not list children")
		}
		if got := appsProject(t.Context(), int32(cmd.Process.Pid), []string{home}); got.Name != c.want {
			t.Errorf("apps in %q: %+v, want %q", c.dirs, got, c.want)
		}
		in.Close()
		_ = cmd.Wait() // its exit status does not matter
	}
}
