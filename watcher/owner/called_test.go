package owner

import "testing"

// TestUntitled names processes that wrote a title over their arguments.
func TestUntitled(t *testing.T) {
	for _, tt := range []struct{ title, comm, exe, want string }{
		{"node /home/ann/code/shop/server.js", "node /home/ann/", "/usr/bin/node", "node"},
		{"ng serve --port 3802 (shop)", "ng serve --port", "/usr/bin/node", "ng"},
		{"puma 6.4.2 (tcp://localhost:3803) [shop]", "puma 6.4.2 (tcp", "/usr/bin/ruby3.1", "puma"},
		{"puma: cluster worker 0: 4711 [shop]", "puma: cluster w", "/usr/bin/ruby3.1", "puma"},
		{"puma 6.4.2 (tcp://localhost:3803) [\u200b]", "puma 6.4.2 (tcp", "/usr/bin/ruby3.1", "puma"},
		{"puma 6.4.2 (tcp://localhost:3803) [shop]", "localhost:3803) [shop]", "/usr/bin/ruby3.1", "puma"},
		{"puma 6.4.2 (tcp://localhost:3803)", "puma 6.4.2 (tcp", "/usr/bin/ruby3.1", "puma"},
		{"next-server (v15.5.29)", "next-server (v1", "/usr/bin/node", "next-server"},
		{"/usr/bin/plackup app.psgi", "/usr/bin/placku", "/usr/bin/perl", "plackup"},
		{"gunicorn: master [app:app]", "gunicorn: maste", "/usr/bin/python3.11", "gunicorn"},
		{"  ", " ", "/usr/bin/python3.11", " "},
		{"/opt/My App/My App", "My App", "/opt/My App/My App", "My App"},
		{"./My App", "My App", "/opt/My App", "My App"},
		{"x y", "tmux: server", "/usr/bin/tmux", "tmux: server"},
	} {
		if got := untitled(tt.comm, []string{tt.title}, tt.exe); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.title, got, tt.want)
		}
	}
}
