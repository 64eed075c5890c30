package facts

import (
	"strings"
	"testing"
)

// TestDaemons has a command line of each background program, and of similar programs.
func TestDaemons(t *testing.T) {
	known := map[string]bool{}
	for line, want := range map[string]Tool{
		"java -cp gradle-launcher-8.jar org.gradle.launcher.daemon.bootstrap.GradleDaemon 8": {"Gradle",
			Daemon},
		"java -cp /x.jar org.jetbrains.kotlin.daemon.KotlinCompileDaemon --daemon-runFilesPath /tmp": {"Kotlin",
			Daemon},
		"bazel(shop) -jar A-server.jar":                                 {"Bazel", Daemon},
		"java -Xmx1g org.mvndaemon.mvnd.daemon.Server":                  {"Maven", Daemon},
		"java -cp /x.jar bloop.Bloop":                                   {"Bloop", Daemon},
		"turbo --skip-infer daemon":                                     {"Turborepo", Daemon},
		"buck2d --isolation-dir v2 daemon":                              {"Buck2", Daemon},
		"pantsd [/home/ann/shop]|":                                      {"Pants", Daemon},
		"sccache":                                                       {"sccache", Daemon},
		"node /usr/lib/node_modules/eslint_d/lib/daemon.js":             {"ESLint", Daemon},
		"node /usr/lib/node_modules/@fsouza/prettierd/bin/prettierd 1 ": {"Prettier", Daemon},
		"gopls serve -listen=127.0.0.1:0":                               {"gopls", Daemon},
		"rust-analyzer":                                                 {"rust-analyzer", Daemon},
		"node node_modules/typescript/lib/tsserver.js --useInferredProjectPerProjectRoot": {"TypeScript", Daemon},
		"node /usr/lib/node_modules/typescript-language-server/lib/cli.mjs --stdio":       {"TypeScript", Daemon},
		"dart development-service --vm-service-uri=http://127.0.0.1:40000/":               {"Dart", Daemon},
		"dart --disable-dart-dev bin/snapshots/analysis_server.dart.snapshot":             {}, // a file of any program
		"dart run bin/server.dart":                                        {},
		"clangd --background-index":                                       {"clangd", Daemon},
		"node /x/node_modules/pyright/dist/pyright-langserver.js --stdio": {"Pyright", Daemon},
		"python3 -m pylsp --tcp":                                          {"python-lsp-server", Daemon},
		"ruby /usr/bin/solargraph socket":                                 {"Solargraph", Daemon},
		"ruby /usr/bin/ruby-lsp":                                          {"Ruby LSP", Daemon},
		"java -cp /x.jar scala.meta.metals.Main":                          {"Metals", Daemon},
		"OmniSharp -lsp":                                                  {"OmniSharp", Daemon},
		"node /x/node_modules/@github/copilot-language-server/dist/language-server.js": {"Copilot", Daemon},
		"node node_modules/turbo/bin/turbo daemon":                                     {"Turborepo", Daemon},
		"watchman --foreground":                                                        {"Watchman", Daemon},
		"biome __run_server":                                                           {"Biome", Daemon},
		"node node_modules/.bin/biome start":                                           {"Biome", Daemon},
		"flow start --flowconfig-name .flowconfig":                                     {"Flow", Daemon},
		"node node_modules/flow-bin/cli.js":                                            {"Flow", Daemon},
		"python3 -m mypy.dmypy start":                                                  {"mypy", Daemon},
		"dart devtools --machine":                                                      {"Dart", Daemon},
		"ccls":                                                                         {"ccls", Daemon},
		"java -Xmx1G -jar /x/plugins/org.eclipse.equinox.launcher_1.6.900.jar -data /w": {"Eclipse JDT", Daemon},
		"java -cp /x.jar org.javacs.kt.MainKt":                                          {"Kotlin", Daemon},
		"dotnet /x/OmniSharp.dll -lsp":                                                  {"OmniSharp", Daemon},
		"dotnet /x/Microsoft.CodeAnalysis.LanguageServer.dll --logLevel x":              {"Roslyn", Daemon},
		"php /usr/bin/phpactor language-server":                                         {"Phpactor", Daemon},
		"ruff server":                                                                   {"Ruff", Daemon},
		"ruff check":                                                                    {},
		"sh /x/language_server.sh":                                                      {"ElixirLS", Daemon},
		"terraform-ls serve":                                                            {"Terraform", Daemon},
		"kotlin-lsp --stdio":                                                            {"Kotlin", Daemon},
		"elixir-ls":                                                                     {"ElixirLS", Daemon},
		"zls":                                                                           {"Zig", Daemon},
		"lua-language-server":                                                           {"Language server", Daemon},
		"haskell-language-server-wrapper --lsp":                                         {"Language server", Daemon},
		"python3 -m jedi_language_server --tcp":                                         {"Language server", Daemon},
		"node node_modules/@vue/language-server/bin/vue-language-server.js":                {"Language server", Daemon},
		"node /x/node_modules/vscode-langservers-extracted/bin/vscode-css-language-server": {"Language server", Daemon},
		"node my-language-server.js":                            {}, // the person's own
		"qemu-system-x86_64-headless -avd Pixel":                {"Android Emulator", Daemon},
		"qemu-system-x86_64 -netdev user,hostfwd=tcp::2222-:22": {},
		"goose session": {"Goose", App},
		"node /x/node_modules/@sourcegraph/amp/dist/main.js":      {"Amp", App},
		"node /x/node_modules/@qwen-code/qwen-code/dist/index.js": {"Qwen Code", App},
		"adb -L tcp:5037 fork-server server --reply-fd 4":         {"Android Debug Bridge", Daemon},
		"python3 -m ipykernel_launcher -f k.json":                 {"Jupyter", Helper},
		"epmd -daemon": {"Erlang port mapper", Daemon},
		"nvim --headless --listen 127.0.0.1:6666": {"Neovim", App},
		"emacs --daemon": {"Emacs", App},
		"hx a.go":        {"Helix", App},
		"claude":         {"Claude Code", App},
		"node /usr/lib/node_modules/@anthropic-ai/claude-code/cli.js":        {"Claude Code", App},
		"node /usr/lib/node_modules/@openai/codex/bin/codex.js":              {"Codex", App},
		"node /usr/bin/../lib/node_modules/@google/gemini-cli/dist/index.js": {"Gemini CLI", App},
		"node /usr/lib/node_modules/@github/copilot/index.js":                {"GitHub Copilot", App},
		"opencode serve": {"opencode", App},
		"python3 /home/ann/.local/bin/aider --model x": {"Aider", App},
		"cursor-agent": {"Cursor", App},
		"node /x/_npx/1/node_modules/@modelcontextprotocol/inspector/client/bin/client.js": {"MCP Inspector",
			Server},
		"node /x/_npx/1/node_modules/@modelcontextprotocol/inspector/server/build/index.js --env {}": {"MCP Inspector",
			Server},
		"turbo run dev":                       {"Turborepo", Runner},
		"node typescript.js":                  {},
		"java -cp x.jar com.example.AServer":  {},
		"node node_modules/.bin/nx run serve": {"Nx", Runner},
	} {
		args := strings.Fields(line)
		if title, ok := strings.CutSuffix(line, "|"); ok {
			args = []string{title}
		}
		got := newMember(member{name: args[0], args: args}).tool()
		if got != want {
			t.Errorf("%s: got %+v, want %+v", line, got, want)
		}
		known[got.Name] = true
	}
	for _, e := range daemons {
		if !known[e.name] {
			t.Errorf("%s has no command line here", e.name)
		}
	}
}

func TestBackground(t *testing.T) {
	for _, c := range []struct {
		line string
		want bool
	}{
		{"gopls serve", true},
		{"node node_modules/nx/src/daemon/server/start.js", true},
		{"node node_modules/vite/bin/vite.js", false},
		{"bun run index.ts", false},
		{"bun run /elsewhere/index.ts", true},
		{"/shop/node_modules/esbuild/bin/esbuild --serve", true},
		{"node server.js", false},
		{"node node_modules/some-helper/bin/start.js", true},
		{"node /usr/lib/node_modules/some-helper/start.js", true},
		{"python3 /home/ann/.local/bin/some-helper", true},
		{"python3 /elsewhere/tool.py", false},
		{"python3 /shop/.venv/bin/shop", false},
		{"ruby bin/web", false},
		{"python3 -m jedi_language_server", true},
		{"python3 -m ipykernel_launcher -f k.json", true},
		{"java -jar /opt/app/bin/app.jar", false},
		{"", false},
	} {
		m := newMember(member{dir: "/shop", args: strings.Fields(c.line)})
		m.inspect()
		if got := m.background(m.tool(), "/shop"); got != c.want {
			t.Errorf("%s: %v, want %v", c.line, got, c.want)
		}
	}
}

func TestHolds(t *testing.T) {
	for _, c := range []struct {
		name, line string
		want       bool
	}{
		{"systemd", "/lib/systemd/systemd|--user", true},
		{"PM2 v6.0.5: God", "PM2 v6.0.5: God Daemon (/home/ann/.pm2)", true},
		{"PM2 v5.3.0: God", "PM2 v5.3.0: God Daemon (/root/.pm2)", true},
		{"node", "PM2 v5.3.0: God Daemon (/root/.pm2)", true}, // elsewhere than on Linux
		{"circusd", "python3|/usr/bin/circusd|circus.ini", true},
		{"supervisord", "python3|/usr/bin/supervisord", true},
		{"pm2", "node|/usr/bin/pm2|logs", false},
		{"sshd", "sshd: ann@pts/0", true},
		{"ssh", "ssh: /home/ann/.ssh/cm-1 [mux]", true},
		{"ssh", "ssh|-M|-S|/tmp/s|host", true},
		{"ssh", "ssh|-fNM|host", true},
		{"ssh", "ssh|-o|ControlMaster=auto|host", true},
		{"ssh", "ssh|-oControlMaster=yes|host", true},
		{"ssh", "ssh|-o|ControlMaster=no|host", false},
		{"ssh", "ssh|-i|/home/ann/M|host", false},
		{"ssh", "ssh|-LM:80:x:80|host", false},
		{"cm-1 [mux]", "ssh: /home/ann/.ssh/cm-1 [mux]", true},
		{"PM2", "PM2 v7.0.1: God Daemon (/home/ann/.pm2)", true},
		{"ssh", "ssh|-N|-L|8080:localhost:80|host", false},
		{"node", "node|server.js", false},
	} {
		if got := newMember(member{name: c.name, args: strings.Split(c.line, "|")}).holds(); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.name, c.line, got, c.want)
		}
	}
}
