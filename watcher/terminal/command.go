// Package terminal is the text face of porttray: its command line, and what the watcher finds as lines for people or as JSON.
package terminal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"porttray/watcher"
	"porttray/watcher/doctor"
	"porttray/watcher/explain"
)

// A Program is what the command line needs of the rest of porttray.
type Program struct {
	Version string
	Main    func(ctx context.Context, out, errs io.Writer) error // what porttray does without a command
	Tray    func(ctx context.Context, out io.Writer) error       // shows the tray
	Open    func(ctx context.Context, url string) error          // opens a browser
	Examine func(ctx context.Context) []doctor.Finding           // looks at the desktop
}

// Run carries out the command line and returns the exit status: 0 for success, 1 for "no" or for what could not be done, 2 for bad
// usage. It writes what was asked for to out, and errors to errs. What reads out may go away at any time, which is no error.
func Run(ctx context.Context, p Program, args []string, out, errs io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // to write where nobody reads is then an error like others
	root := Command(p)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	command, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil, errors.Is(err, syscall.EPIPE):
		return 0
	case errors.Is(err, errNo):
		return 1
	}
	fmt.Fprintf(errs, "%s: %s\n", strings.ReplaceAll(command.CommandPath(), " ", ": "), leftToRight(err.Error()))
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

// errNo says that the answer to what was asked is no. Whatever there is to say has been said.
var errNo = errors.New("no")

// A usageError is the person's: it names the argument, and what is expected.
type usageError struct{ error }

// badUsage returns the error about an argument.
func badUsage(arg string, err error) error { return usageError{fmt.Errorf("%q: %w", arg, err)} }

// Command returns the tree of commands.
func Command(p Program) *cobra.Command {
	cobra.MousetrapHelpText = "" // it would tell those who double-click porttray.exe that it is no program for them
	root := &cobra.Command{
		Use:   "porttray",
		Short: "What listens on this computer's ports, whose it is, and when it comes and goes",
		Long: `porttray puts itself in the system tray, and lists there what listens on this computer's ports. Where there is no tray it
watches in the terminal. Its commands give the same answers in words or as JSON.`,
		Example: `  porttray list          what listens now, and whose it is
  porttray explain 5173  who listens, is it safe, what to do
  porttray stop 5173     ask the server on port 5173 to end`,
		Args:          noCommand,
		Version:       p.Version,
		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.Main(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	root.SetVersionTemplate("porttray {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddGroup(&cobra.Group{ID: "see", Title: "See:"}, &cobra.Group{ID: "act", Title: "Act:"}, &cobra.Group{ID: "rest", Title: "Else:"})
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("see", listCommand(), watchCommand(), explainCommand(), waitCommand(), freeCommand())
	add("act", openCommand(p), stopCommand())
	add("rest", doctorCommand(p), configCommand(), trayCommand(p), completionCommand(), versionCommand(p))
	root.SetHelpCommandGroupID("rest")
	fill(root)
	return root
}

// fill has the texts of a command, and of those below it, in lines that fit on any terminal.
func fill(c *cobra.Command) {
	c.Long = filled(c.Long)
	for _, below := range c.Commands() {
		fill(below)
	}
}

// filled returns paragraphs in lines of at most 80 columns.
func filled(text string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		paragraphs = append(paragraphs, strings.Join(wrap(paragraph, prose), "\n"))
	}
	return strings.Join(paragraphs, "\n\n")
}

// flagError returns the error about a flag in plain words.
func flagError(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return usageError{err}
	}
	want := map[string]string{"bool": "true or false", "duration": "a time such as 5s or 2m"}[invalid.GetFlag().Value.Type()]
	return badUsage("--"+invalid.GetFlag().Name+" "+invalid.GetValue(), errors.New(cmp.Or(want, "a whole number")))
}

// noCommand is reached with arguments when the first of them is no command.
func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	advice := "porttray help lists the commands"
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		advice = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return badUsage(args[0], errors.New("not a command; "+advice))
}

// exactly wants so many arguments, which are called that.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usageError{errors.New(what + " is missing")}
		case len(args) > n:
			return badUsage(args[n], errors.New("one argument too many"))
		}
		return nil
	}
}

// portArgument reads a port from the command line.
func portArgument(arg string) (uint16, error) {
	p, err := explain.ParsePort(strings.TrimPrefix(arg, ":"))
	if err != nil {
		return 0, badUsage(arg, err)
	}
	return p, nil
}

// completePorts offers the ports that are listened on, with the names of their servers.
func completePorts(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := watcher.Look(c.Context(), true)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ports []cobra.Completion
	for _, l := range s.Listeners {
		ports = append(ports, cobra.CompletionWithDesc(fmt.Sprint(l.Port), l.Name()))
	}
	return ports, cobra.ShellCompDirectiveNoFileComp
}

// completeNothing keeps shells from offering files.
func completeNothing(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func trayCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:               "tray",
		Short:             "Show the tray, or fail where there is none",
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE:              func(c *cobra.Command, _ []string) error { return p.Tray(c.Context(), c.OutOrStdout()) },
	}
}

func completionCommand() *cobra.Command {
	shells := map[string]func(*cobra.Command, io.Writer) error{
		"bash":       func(root *cobra.Command, out io.Writer) error { return root.GenBashCompletionV2(out, true) },
		"zsh":        (*cobra.Command).GenZshCompletion,
		"fish":       func(root *cobra.Command, out io.Writer) error { return root.GenFishCompletion(out, true) },
		"powershell": (*cobra.Command).GenPowerShellCompletionWithDesc,
	}
	names := slices.Sorted(maps.Keys(shells))
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what completes commands and ports in a shell",
		Long: `Prints a script that completes porttray's commands, flags and ports. SHELL is bash, fish, powershell or zsh.

In bash, with its package bash-completion: source <(porttray completion bash)

In zsh: porttray completion zsh > "${fpath[1]}/_porttray"

In fish: porttray completion fish > ~/.config/fish/completions/porttray.fish

In PowerShell: porttray completion powershell | Out-String | Invoke-Expression`,
		Args:      exactly(1, "the shell"),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			generate, ok := shells[args[0]]
			if !ok {
				return badUsage(args[0], errors.New("a shell is "+strings.Join(names, ", ")))
			}
			return generate(c.Root(), c.OutOrStdout())
		},
	}
}

func versionCommand(p Program) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "porttray", cmp.Or(p.Version, "(devel)"))
			return err
		},
	}
}
