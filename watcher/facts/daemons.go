package facts

import (
	"slices"
	"strings"
)

// daemons are programs that work in the background for other programs: build daemons, language servers, port mappers.
// Only those programs use their ports. Editors and agents in a terminal are listed too, because their ports are like
// those of desktop programs. daemons comes before the table of tools. That table has some of the names again, for the
// programs that people run with them.
var daemons = []entry{
	// Builds
	{"Gradle", Daemon, java, "org.gradle.launcher.daemon.bootstrap.gradledaemon", ""},
	{"Kotlin", Daemon, java, "org.jetbrains.kotlin.daemon.kotlincompiledaemon", ""},
	{"Bazel", Daemon, java, "a-server.jar", ""},
	{"Maven", Daemon, java, "org.mvndaemon.mvnd.daemon.server, org.mvndaemon.mvnd.common.daemonserver", ""},
	{"Bloop", Daemon, java, "bloop.bloop, bloop.server, bloop.bloopserver", ""},
	{"Turborepo", Daemon, native, "turbo daemon, turbo * daemon", ""},
	{"Turborepo", Daemon, node, "turbo daemon, turbo * daemon", ""},
	{"Buck2", Daemon, native, "buck2d", ""},
	{"Pants", Daemon, native, "pantsd", ""},
	{"sccache", Daemon, native, "sccache", ""},
	{"Watchman", Daemon, native, "watchman, watchmand", ""},
	{"Biome", Daemon, native, "biome", ""},
	{"Biome", Daemon, node, "@biomejs/biome, biome", ""},
	{"Flow", Daemon, native, "flow", ""},
	{"Flow", Daemon, node, "flow-bin", ""},
	{"mypy", Daemon, python, "dmypy, mypy.dmypy", ""},
	{"ESLint", Daemon, node, "eslint_d", ""},
	{"Prettier", Daemon, node, "@fsouza/prettierd, prettierd", ""},

	// Language servers
	{"gopls", Daemon, native, "gopls", ""},
	{"rust-analyzer", Daemon, native, "rust-analyzer, rust-analyzer-proc-macro-srv", ""},
	{"TypeScript", Daemon, node, "typescript, tsserver, typescript-language-server, @vtsls/language-server", ""},
	{"Dart", Daemon, native, "dart development-service, dart language-server, dart tooling-daemon, dart devtools, " +
		"dart * analysis_server.dart.snapshot, flutter_tester", ""},
	{"clangd", Daemon, native, "clangd", ""},
	{"ccls", Daemon, native, "ccls", ""},
	{"Eclipse JDT", Daemon, java, "org.eclipse.equinox.launcher.jar", ""},
	{"Eclipse JDT", Daemon, python, "jdtls", ""},
	{"Kotlin", Daemon, java, "org.javacs.kt.mainkt", ""},
	{"Kotlin", Daemon, native, "kotlin-lsp", ""},
	{"Pyright", Daemon, node, "pyright, basedpyright, pyright-langserver", ""},
	{"python-lsp-server", Daemon, python, "pylsp", ""},
	{"Solargraph", Daemon, ruby, "solargraph", ""},
	{"Ruby LSP", Daemon, ruby, "ruby-lsp", ""},
	{"Metals", Daemon, java, "scala.meta.metals.main", ""},
	{"OmniSharp", Daemon, native, "omnisharp", ""},
	{"OmniSharp", Daemon, dotnet, "./omnisharp.dll", ""},
	{"Roslyn", Daemon, native, "microsoft.codeanalysis.languageserver", ""},
	{"Roslyn", Daemon, dotnet, "./microsoft.codeanalysis.languageserver.dll", ""},
	{"Phpactor", Daemon, php, "phpactor", ""},
	{"Ruff", Daemon, native, "ruff server", ""},
	{"ElixirLS", Daemon, shell, "./language_server.sh", ""},
	{"ElixirLS", Daemon, native, "elixir-ls", ""},
	{"Terraform", Daemon, native, "terraform-ls", ""},
	{"Zig", Daemon, native, "zls", ""},
	{"Copilot", Daemon, node, "@github/copilot-language-server", ""},

	// Others
	{"Android Debug Bridge", Daemon, native, "adb", ""},
	{"Android Emulator", Daemon, native, "emulator, emulator64-crash-service, netsimd, qemu-system-x86_64-headless, " +
		"qemu-system-aarch64-headless", ""},
	{"Erlang port mapper", Daemon, native, "epmd", ""},
	{"Jupyter", Helper, python, "ipykernel_launcher, ipykernel", ""}, // a kernel, for a notebook or an editor

	// Editors and agents in a terminal
	{"Neovim", App, native, "nvim, nvim-qt, neovide", ""},
	{"Emacs", App, native, "emacs, emacs-nox, emacs-gtk, emacs-lucid", ""},
	{"Helix", App, native, "hx, helix", ""},
	{"Claude Code", App, node, "@anthropic-ai/claude-code", ""},
	{"Claude Code", App, native, "claude", ""},
	{"Codex", App, node, "@openai/codex, codex", ""},
	{"Codex", App, native, "codex", ""},
	{"Gemini CLI", App, node, "@google/gemini-cli", ""},
	{"GitHub Copilot", App, node, "@github/copilot", ""},
	{"opencode", App, native, "opencode", ""},
	{"Aider", App, python, "aider", ""},
	{"Goose", App, native, "goose", ""},
	{"Amp", App, node, "@sourcegraph/amp", ""},
	{"Qwen Code", App, node, "@qwen-code/qwen-code", ""},
	{"Cursor", App, native, "cursor-agent", ""},

	// Several processes each, see ManyProcesses
	{"MCP Inspector", Server, node, "@modelcontextprotocol/inspector, @modelcontextprotocol/inspector-server, " +
		"@modelcontextprotocol/inspector-client", ""},
}

// calledDaemon returns the daemon that gives its process this name: "bazel(shop)".
func calledDaemon(name string) Tool {
	if strings.HasPrefix(name, "bazel(") {
		return Tool{"Bazel", Daemon}
	}
	return Tool{}
}

// languageServers are parts of names. The name of a language server contains one of them, for any language.
var languageServers = []string{"language-server", "language_server", "languageserver", "langserver"}

// languageServer returns the tool of a self-named language server. A script of the person is never one.
func languageServer(name string) Tool {
	says := func(part string) bool { return strings.Contains(name, part) }
	if !strings.HasPrefix(name, "./") && slices.ContainsFunc(languageServers, says) {
		return Tool{"Language server", Daemon}
	}
	return Tool{}
}

// background reports whether m works for other programs. own is m's tool. It does if it is a daemon. It also does if it
// runs none of the person's code and is a build tool, a helper or a script from an installed package.
func (m member) background(own Tool, projectDir string) bool {
	switch file := absolute(m.dir, m.file); own.Kind {
	case Daemon:
		return true
	case Runner, Helper:
		return !ownFile(file, projectDir)
	case 0:
		path := elements(file)
		if len(m.commands) < 2 || len(path) == 0 || archive(file) || ownFile(file, projectDir) {
			return false
		}
		// The person's own program may be installed in the project's environment.
		return lastPackages(path) >= 0 || scriptExtension(file) == "" && programDir(path) && !isInside(file, projectDir)
	}
	return false
}
