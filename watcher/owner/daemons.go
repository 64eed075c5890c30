package owner

import "strings"

// daemons are the programs that work in the background for other programs, on ports that only those want to know: build daemons,
// language servers, port mappers; and the editors and agents in a terminal, whose own ports are like those of desktop programs. They
// come before the table of tools, which has some of their names for what people run by them.
var daemons = []entry{
	// Builds
	{"Gradle", Daemon, java, "org.gradle.launcher.daemon.bootstrap.gradledaemon", ""},
	{"Kotlin", Daemon, java, "org.jetbrains.kotlin.daemon.kotlincompiledaemon", ""},
	{"Bazel", Daemon, java, "a-server.jar", ""},
	{"Maven", Daemon, java, "org.mvndaemon.mvnd.daemon.server, org.mvndaemon.mvnd.common.daemonserver", ""},
	{"Bloop", Daemon, java, "bloop.bloop, bloop.server, bloop.bloopserver", ""},
	{"Turborepo", Daemon, native, "turbo daemon, turbo * daemon", ""},
	{"Buck2", Daemon, native, "buck2d", ""},
	{"Pants", Daemon, native, "pantsd", ""},
	{"sccache", Daemon, native, "sccache", ""},
	{"ESLint", Daemon, node, "eslint_d", ""},
	{"Prettier", Daemon, node, "@fsouza/prettierd, prettierd", ""},

	// Language servers
	{"gopls", Daemon, native, "gopls", ""},
	{"rust-analyzer", Daemon, native, "rust-analyzer, rust-analyzer-proc-macro-srv", ""},
	{"TypeScript", Daemon, node, "typescript, tsserver, typescript-language-server, @vtsls/language-server", ""},
	{"Dart", Daemon, native, "dart development-service, dart language-server, dart tooling-daemon, dart * analysis_server.dart.snapshot", ""},
	{"clangd", Daemon, native, "clangd", ""},
	{"Pyright", Daemon, node, "pyright, basedpyright, pyright-langserver", ""},
	{"python-lsp-server", Daemon, python, "pylsp", ""},
	{"Solargraph", Daemon, ruby, "solargraph", ""},
	{"Ruby LSP", Daemon, ruby, "ruby-lsp", ""},
	{"Metals", Daemon, java, "scala.meta.metals.main", ""},
	{"OmniSharp", Daemon, native, "omnisharp", ""},
	{"Copilot", Daemon, node, "@github/copilot-language-server", ""},

	// Others
	{"Android Debug Bridge", Daemon, native, "adb", ""},
	{"Erlang port mapper", Daemon, native, "epmd", ""},

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
	{"Cursor", App, native, "cursor-agent", ""},

	// Of several processes, see ManyProcesses
	{"MCP Inspector", Server, node, "@modelcontextprotocol/inspector, @modelcontextprotocol/inspector-server, @modelcontextprotocol/inspector-client", ""},
}

// calledDaemon returns the daemon that calls its process so: "bazel(shop)".
func calledDaemon(name string) Tool {
	if strings.HasPrefix(name, "bazel(") {
		return Tool{"Bazel", Daemon}
	}
	return Tool{}
}

// background reports whether m, which is that tool, works for other programs: it is a daemon, or a build tool or helper that
// runs nothing the person wrote.
func (m member) background(own Tool, projectDir string) bool {
	return own.Kind == Daemon || (own.Kind == Runner || own.Kind == Helper) && !ownFile(absolute(m.dir, m.file), projectDir)
}
