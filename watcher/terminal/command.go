// Package terminal is porttray's command line. It prints the watcher's results as text for people or as JSON.
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

// A Program holds the functions that the command line needs from the rest of porttray.
type Program struct {
	Version string
	Main    func(ctx context.Context, out, errs io.Writer) error // runs porttray without a command
	Tray    func(ctx context.Context, out io.Writer) error       // shows the tray
	Open    func(ctx context.Context, url string) error          // opens a browser
	Examine func(ctx context.Context) []doctor.Finding           // checks the desktop
}

// Run runs the command line and returns the exit status: 0 for success, 1 for "no" or a failure, 2 for bad usage. It
// writes results to out and errors to errs. A closed reader of out is not an error.
func Run(ctx context.Context, p Program, args []string, out, errs io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // a write without a reader then returns EPIPE
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

// errNo means that the answer is no, and that the command has already printed it.
var errNo = errors.New("no")

// A usageError is a mistake in the command line. It names the argument and the expected value.
type usageError struct{ error }

// badUsage returns the error about an argument.
func badUsage(arg string, err error) error { return usageError{fmt.Errorf("%q: %w", arg, err)} }

// Command returns the tree of commands.
func Command(p Program) *cobra.Command {
	cobra.MousetrapHelpText = "" // otherwise cobra refuses to start by a double click on Windows
	root := &cobra.Command{
		Use:   "porttray",
		Short: "Shows the servers on this computer's ports, their owners, and when they open and close",
		Long: `porttray lists the servers on this computer's ports in the system tray. Without a tray it watches in the
terminal. Its commands give the same answers as text or as JSON.`,
		Example: `  porttray list          list the servers and their owners
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
	root.AddGroup(&cobra.Group{ID: "see", Title: "See:"}, &cobra.Group{ID: "act", Title: "Act:"},
		&cobra.Group{ID: "rest", Title: "Other:"})
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

// fill wraps the long help of a command and its subcommands.
func fill(c *cobra.Command) {
	c.Long = filled(c.Long)
	for _, below := range c.Commands() {
		fill(below)
	}
}

// filled wraps each paragraph of text at 80 columns.
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
	flag := invalid.GetFlag()
	want := map[string]string{"bool": "true or false", "duration": "a time such as 5s or 2m"}[flag.Value.Type()]
	return badUsage("--"+flag.Name+" "+invalid.GetValue(), errors.New(cmp.Or(want, "a whole number")))
}

// noCommand rejects arguments of the root command, because the first one is not a command.
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

// exactly accepts n arguments. The name describes a missing one in the error.
func exactly(n int, name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usageError{errors.New(name + " is missing")}
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

// completePorts completes a port with a listener, and shows the name of its server.
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
		Short:             "Show the tray, or fail if there is none",
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
		Short: "Print the completion script for a shell",
		Long: `Prints a script that completes porttray's commands, flags and ports. SHELL is bash, fish, powershell or
zsh.

In bash, with its package bash-completion: source <(porttray completion bash)

In zsh: porttray completion zsh > "${fpath[1]}/_porttray"

In fish: porttray completion fish > ~/.config/fish/completions/porttray.fish

In PowerShell: porttray completion powershell | Out-String | Invoke-Expression`,
		Args:      exactly(1, "the shell"),
		ValidArgs: names,
		RunE: func(c *cobra.Command, args []string) error {
			generate, ok := shells[args[0]]
			if !ok {
				return badUsage(args[0], errors.New("not a known shell; use "+strings.Join(names, ", ")))
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
