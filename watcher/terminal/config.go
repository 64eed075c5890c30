package terminal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher/doctor"
	"porttray/watcher/settings"
)

func configCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "config",
		Short: "Print where the settings file is, and what it sets",
		Long: `Prints where the settings file is, and the settings that are in force. The file is optional; Open settings file in the menu writes
an example. What is wrong with it, porttray config check tells with line and column.`,
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			file, s, err := readSettings()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), inForce{file, s})
			}
			_, err = c.OutOrStdout().Write(configText(file, s))
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.AddCommand(&cobra.Command{
		Use:               "check",
		Short:             "Say whether the settings file is in order",
		Long:              `Reads the settings file, and says what is wrong with it, with line and column. Exit status 1 means that something is.`,
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			file, s, err := readSettings()
			var wrong *settings.Error
			switch {
			case errors.As(err, &wrong) && wrong.Line > 0:
				fmt.Fprintf(c.OutOrStdout(), "%s:%d:%d: %s\n", wrong.File, wrong.Line, wrong.Column, clean(wrong.Problem))
				return errNo
			case err != nil:
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s is in order: %s.\n", file, count(len(s.Rules), "rule", "rules"))
			return err
		},
	})
	return c
}

// inForce is what config --json writes.
type inForce struct {
	File string `json:"file"`
	settings.Settings
}

func readSettings() (file string, s settings.Settings, err error) {
	if file, err = settings.File(); err == nil {
		s, err = settings.Read(file)
	}
	return file, s, err
}

// rulesInForce returns the settings. What is wrong with the file is said, and then there are none.
func rulesInForce(c *cobra.Command) settings.Settings {
	_, s, err := readSettings()
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s; it does not count\n", strings.ReplaceAll(c.CommandPath(), " ", ": "), clean(err.Error()))
	}
	return s
}

// configText returns the settings in words.
func configText(file string, s settings.Settings) []byte {
	var b strings.Builder
	interval := time.Duration(s.Interval)
	if interval == 0 {
		interval = time.Second
	}
	fmt.Fprintf(&b, "file      %s\ninterval  %v\nterminal  %s\n", file, interval, dash(clean(s.Terminal)))
	for i, r := range s.Rules {
		fmt.Fprintf(&b, "rule %-4d %s\n", i+1, clean(r.String()))
	}
	return []byte(b.String())
}

// settingsFinding tells the doctor of the settings file.
func settingsFinding() doctor.Finding {
	file, _, err := readSettings()
	f := doctor.Finding{Topic: "settings", Says: "settings are read from " + shortDir(file)}
	if err != nil {
		f.State, f.Says, f.Fix = doctor.Lacks, "the settings do not count: "+clean(err.Error()), "correct it; porttray config check says what is wrong"
	}
	return f
}
