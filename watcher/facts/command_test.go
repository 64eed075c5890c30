package facts

import (
	"fmt"
	"strings"
	"testing"
)

func TestUnwrap(t *testing.T) {
	tests := []struct{ line, want string }{
		// Each command is language:name[arguments]; the innermost comes last.
		{"", ":[]"},
		{"/usr/sbin/nginx -g x", ":nginx[-g x]"},
		{`C:\caddy\Caddy.exe run`, ":caddy[run]"},
		{"npx -p a --yes vite@5 --port 1", ":npx[-p a --yes vite@5 --port 1] any:vite[--port 1]"},
		{"npm exec vite", ":npm[exec vite] any:vite[]"},
		{"npm run dev", ":npm[run dev]"},
		{"npm start", ":npm[start]"},
		{"pnpm --filter web exec vite dev", ":pnpm[--filter web exec vite dev] any:vite[dev]"},
		{"pnpm vite", ":pnpm[vite] any:vite[]"},
		{"yarn start", ":yarn[start]"},
		{"bun run dev", ":bun[run dev]"},
		{"bun run server.ts", ":bun[run server.ts] node:./server.ts[]"},
		{"bunx --bun vite", ":bunx[--bun vite] any:vite[]"},
		{"uv run --with x app.py", ":uv[run --with x app.py] python:./app.py[]"},
		{"uv run -m app", ":uv[run -m app] python:app[]"},
		{"uv sync", ":uv[sync]"},
		{"uvx --from a b", ":uvx[--from a b] any:b[]"},
		{"poetry run python -m shop.web", ":poetry[run python -m shop.web] any:python[-m shop.web] python:shop.web[]"},
		{"pipenv run python a.py x", ":pipenv[run python a.py x] any:python[a.py x] python:./a.py[x]"},
		{"hatch -e test run flask", ":hatch[-e test run flask] any:flask[]"},
		{"bundle exec puma", ":bundle[exec puma] any:puma[]"},
		{"python3.12 -u -W default a.py b", ":python3.12[-u -W default a.py b] python:./a.py[b]"},
		{"python -Bum a.b c", ":python[-Bum a.b c] python:a.b[c]"},
		{"python -c x a.py", ":python[-c x a.py]"},
		{"python", ":python[]"},
		{"node --inspect=1 -r x --import y --no-warnings a.js",
			":node[--inspect=1 -r x --import y --no-warnings a.js] node:./a.js[]"},
		{"node20 --max-old-space-size=9 -- a.mjs", ":node20[--max-old-space-size=9 -- a.mjs] node:./a.mjs[]"},
		{"node -e 1 a.js", ":node[-e 1 a.js]"},
		{"node inspect a.js", ":node[inspect a.js] node:./a.js[]"},
		{"node /usr/lib/node_modules/npm/bin/npx-cli.js vite",
			":node[/usr/lib/node_modules/npm/bin/npx-cli.js vite] node:npx-cli[vite] any:vite[]"},
		{"node /x/.yarn/releases/yarn-4.1.0.cjs vite",
			":node[/x/.yarn/releases/yarn-4.1.0.cjs vite] node:yarn-4.1.0[vite] any:vite[]"},
		{"tsx watch --tsconfig t.json a.ts", ":tsx[watch --tsconfig t.json a.ts] node:./a.ts[]"},
		{"ts-node -P t.json a.ts", ":ts-node[-P t.json a.ts] node:./a.ts[]"},
		{"nodemon -w src --exec tsx a.ts", ":nodemon[-w src --exec tsx a.ts] any:tsx[]"},
		{"cross-env A=b C=d node a.js", ":cross-env[A=b C=d node a.js] any:node[a.js] node:./a.js[]"},
		{"dotenv -e .env -- vite", ":dotenv[-e .env -- vite] any:vite[]"},
		{"env -u X A=b vite", ":env[-u X A=b vite] any:vite[]"},
		{"ruby3.1 -I lib -S rackup", ":ruby3.1[-I lib -S rackup] ruby:rackup[]"},
		{"ruby server.rb", ":ruby[server.rb] ruby:./server.rb[]"},
		{"php8.2 artisan serve", ":php8.2[artisan serve] php:./artisan[serve]"},
		{"php -S a -t b", ":php[-S a -t b]"},
		{"php -f a.php b", ":php[-f a.php b] php:./a.php[b]"},
		{"java -Xmx1m -jar a-1.2.jar b", ":java[-Xmx1m -jar a-1.2.jar b] java:a.jar[b]"},
		{"java -cp a:/m/spring-boot-3.0.jar:/m/x.jar a.B c",
			":java[-cp a:/m/spring-boot-3.0.jar:/m/x.jar a.B c] java:spring-boot.jar[] java:a.b[c]"},
		{"java -m a.b/c.D e", ":java[-m a.b/c.D e] java:c.d[e]"},
		{"java -version", ":java[-version]"},
		{"dotnet exec a.dll b", ":dotnet[exec a.dll b] dotnet:./a.dll[b]"},
		{"sudo -u ann nice -n 5 timeout -k 1 9 vite",
			":sudo[-u ann nice -n 5 timeout -k 1 9 vite] any:nice[-n 5 timeout -k 1 9 vite] " +
				"any:timeout[-k 1 9 vite] any:vite[]"},
		{"sh ./run.sh a", ":sh[./run.sh a] shell:./run.sh[a]"},
		{"bash -euo pipefail run a", ":bash[-euo pipefail run a] shell:./run[a]"},
		{"sh|-ec|A=b exec vite --port $PORT", ":sh[-ec A=b exec vite --port $PORT] any:vite[--port $PORT]"},
		{"sh|-c|vite && next", ":sh[-c vite && next]"},
		{"sh|-c|cd web; vite", ":sh[-c cd web; vite]"},
		{"sh|-c|vite > log", ":sh[-c vite > log]"},
		{"sh|-c|v'it'e", ":sh[-c v'it'e]"},
		{"sh|-c|\"vite\" 'a b'", ":sh[-c \"vite\" 'a b'] any:vite[a b]"},
		{"sh|-c|", ":sh[-c]"},
		{"gunicorn: master [app:app]|", "any:gunicorn[master [app:app]]"},
		{"env env env env env env env env env env vite",
			":env[env env env env env env env env env vite] any:env[env env env env env env env env vite] " +
				"any:env[env env env env env env env vite] any:env[env env env env env env vite] any:env[env env env env env vite] " +
				"any:env[env env env env vite] any:env[env env env vite] any:env[env env vite]"},
	}
	for _, tt := range tests {
		var got []string
		for _, c := range unwrap(toolLine{line: tt.line}.args(), "") {
			got = append(got, fmt.Sprintf("%s:%s%s", c.lang, c.name, c.args))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.line, s, tt.want)
		}
	}
}

// TestFirstCommand has programs with another first argument.
func TestFirstCommand(t *testing.T) {
	tests := []struct{ line, exe, want string }{
		{"", "/usr/sbin/nginx", ":nginx"},
		{"x", "", ":x"},
		{"x", "/usr/bin/x", ":x"},
		{"vite", "/usr/bin/node", "any:vite"},
		{"x y.js", "/usr/bin/node", ":node"}, // a renamed interpreter still runs its file
		{"/usr/sbin/mysqld", "/usr/sbin/mariadbd", ":mariadbd"},
		{"redis-server *:1|", "/usr/bin/redis-check-rdb", "any:redis-server"},
		{"a title|", "/usr/bin/nginx", ":nginx"},
		{"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome|",
			"/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", ":google chrome"},
		{"httpd", "/bin/busybox", "other:httpd"},
		{"/usr/bin/python", "/usr/bin/python3.12", "any:python"},
	}
	for _, tt := range tests {
		c := firstCommand(toolLine{line: tt.line}.args(), tt.exe)
		if got := c.lang + ":" + c.name; got != tt.want && tt.line != "" {
			t.Errorf("%s by %s: got %s, want %s", tt.line, tt.exe, got, tt.want)
		}
	}
	if c := firstCommand(nil, "/usr/sbin/nginx"); c.name != "nginx" {
		t.Errorf("without arguments got %+v", c)
	}
}

func TestScriptName(t *testing.T) {
	tests := map[string]string{
		"":                                  "",
		"/":                                 "",
		"vite.js":                           "./vite.js",
		"/home/ann/vite/vite":               "./vite",
		"/usr/bin/vite":                     "vite",
		"bin/rails":                         "rails",
		"bin/vite.js":                       "./vite.js",
		"/x/node_modules/.bin/vite":         "vite",
		"/x/node_modules/vite/bin/vite.js":  "vite",
		"/x/node_modules/vite/x/y/z.js":     "vite",
		"/x/node_modules/@a/b/bin/vite.js":  "vite",
		"/x/node_modules/@a/b/dist/vite.js": "@a/b",
		"/x/node_modules/a/node_modules/b/dist/x.js":          "b",
		"node_modules/serve/build/main.js":                    "serve",
		"node_modules/x.js":                                   "x",
		"/v/lib/python3.12/site-packages/uvicorn/__main__.py": "uvicorn",
		`C:\venv\Scripts\uvicorn.exe`:                         "uvicorn",
		`C:\shop\node_modules\nuxt\bin\nuxt.mjs`:              "nuxt",
	}
	for file, want := range tests {
		if got := scriptName(file); got != want {
			t.Errorf("%s: got %s, want %s", file, got, want)
		}
	}
}

func TestReadShell(t *testing.T) {
	tests := []struct {
		shell, args string // args are separated by bars
		line        string
		script      string // without line and script the shell is interactive or reads its input
	}{
		{"bash", "", "", ""},
		{"zsh", "-l", "", ""},
		{"bash", "--rcfile|/opt/idea/plugins/terminal/bash-integration.bash|-i", "", ""},
		{"bash", "--init-file|/usr/share/code/shellIntegration-bash.sh", "", ""},
		{"fish", "-C|source x", "", ""},
		{"bash", "-o|vi", "", ""},
		{"bash", "--login|-i", "", ""},
		{"sh", "-s", "", ""},
		{"sh", "x.sh|a", "", "x.sh"},
		{"bash", "-x|-e|x.sh", "", "x.sh"},
		{"bash", "--|x.sh", "", "x.sh"},
		{"sh", "-c|vite", "vite", ""},
		{"bash", "-lc|vite", "vite", ""},
		{"bash", "-i|-c|vite", "vite", ""},
		{"bash", "-euo|pipefail|-c|vite", "vite", ""},
		{"bash", "-c|-o|pipefail|--|vite", "vite", ""},
		{"fish", "--command|vite", "vite", ""},
		{"cmd", "", "", ""},
		{"cmd", "/D|/K|vite", "", ""},
		{"cmd", "/d|/s|/C|vite|--port|1", "vite --port 1", ""},
		{"pwsh", "", "", ""},
		{"pwsh", "-noexit|-command|x", "", ""},
		{"powershell", "-ExecutionPolicy|Bypass", "", ""},
		{"powershell", "-File|x.ps1", "", "./powershell"},
	}
	for _, tt := range tests {
		var args []string
		if tt.args != "" {
			args = strings.Split(tt.args, "|")
		}
		got := readShell(tt.shell, args)
		if got.line != tt.line || strings.Join(got.script[:min(1, len(got.script))], "") != tt.script {
			t.Errorf("%s %s: got %+v, want the line %q or the script %q", tt.shell, args, got, tt.line, tt.script)
		}
	}
}
