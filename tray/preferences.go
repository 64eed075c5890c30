package tray

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"porttray/watcher/browser"
	"porttray/watcher/owner"
	"porttray/watcher/server"
	"porttray/watcher/settings"
)

// setLogin turns the start of this program at login on or off.
func setLogin(on bool) error {
	if !on {
		return disableLogin()
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's file: %w", err)
	}
	return enableLogin(exe)
}

func startAtLogin(do effects, on bool) result {
	if err := do.login(on); err != nil {
		body := owner.Printable(err.Error(), maxTitle)
		return result{say: notice{title: "Could not change the start at login", body: body}}
	}
	return result{login: &on}
}

// editSettings opens the settings file in the desktop's editor. It writes an example first if there is no file.
func editSettings(ctx context.Context) error {
	file, err := settings.File()
	if err == nil {
		err = settings.Create(file)
	}
	if err != nil {
		return err
	}
	return browser.Edit(ctx, file)
}

func edited(ctx context.Context, do effects) result {
	if err := do.edit(ctx); err != nil {
		body := owner.Printable(err.Error(), maxTitle)
		return result{say: notice{title: "Could not open the settings file", body: body}}
	}
	return result{}
}

// terminalAt opens a terminal in the directory of a listener's project or process.
func terminalAt(_ context.Context, do effects, terminal string, on server.Listener) result {
	if err := do.console(terminal, on.Directory()); err != nil {
		return result{say: notice{title: "Could not open a terminal", body: owner.Printable(err.Error(), maxTitle)}}
	}
	return result{}
}

// openConsole opens a terminal in a directory. If terminal is empty, it takes the first installed one.
func openConsole(terminal, dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("cannot open the directory %s", owner.ShortDir(dir))
	}
	commands := terminals(runtime.GOOS, os.Getenv("TERMINAL"), dir)
	if terminal != "" {
		commands = [][]string{strings.Fields(terminal)}
	}
	for _, c := range commands {
		if _, err := exec.LookPath(c[0]); err != nil {
			continue
		}
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = dir
		browser.Detach(cmd)
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("open a terminal: %w", err)
		}
		go cmd.Wait() // until the person closes the terminal
		return nil
	}
	if terminal != "" {
		return fmt.Errorf("there is no program %q; see terminal in the settings file", commands[0][0])
	}
	return errors.New("no terminal found; name one in the settings file: terminal = \"…\"")
}

// terminals returns commands that may open a terminal in a directory. Most of them take the working directory.
func terminals(goos, preferred, dir string) [][]string {
	switch goos {
	case "windows":
		return [][]string{{"wt.exe", "-d", dir}, {"cmd.exe", "/c", "start", "cmd.exe"}}
	case "darwin":
		return [][]string{{"open", "-a", "Terminal", dir}}
	}
	var commands [][]string
	if words := strings.Fields(preferred); len(words) > 0 {
		commands = append(commands, words)
	}
	for _, name := range []string{"xdg-terminal-exec", "x-terminal-emulator", "gnome-terminal", "konsole",
		"xfce4-terminal", "mate-terminal", "lxterminal", "qterminal", "kitty", "alacritty", "wezterm", "foot",
		"ghostty", "xterm"} {
		commands = append(commands, []string{name})
	}
	return commands
}
