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
		Short: "Print the settings, and the path of their file",
		Long: `Prints the path of the settings file, and the settings in force. The file is optional. "Open settings
file" in the menu creates an example. "porttray config check" finds mistakes in the file.`,
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
		Use:   "check",
		Short: "Find mistakes in the settings file",
		Long: `Reads the settings file, and prints the first mistake with line and column. Exit status 1
means a mistake.`,
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			file, s, err := readSettings()
			var wrong *settings.Error
			switch {
			case errors.As(err, &wrong) && wrong.Line > 0:
				fmt.Fprintf(c.OutOrStdout(), "%s:%d:%d: %s\n",
					wrong.File, wrong.Line, wrong.Column, clean(wrong.Problem))
				return errNo
			case err != nil:
				return err
			}
			rules := count(len(s.Rules), "rule", "rules")
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s has no mistakes; it has %s.\n", file, rules)
			return err
		},
	})
	return c
}

// inForce is the JSON document of config --json.
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

// rulesInForce returns the settings. If the file has a mistake, it prints the error and returns no settings.
func rulesInForce(c *cobra.Command) settings.Settings {
	_, s, err := readSettings()
	if err != nil {
		path := strings.ReplaceAll(c.CommandPath(), " ", ": ")
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s; the settings are ignored\n", path, clean(err.Error()))
	}
	return s
}

// configText returns the settings as text.
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

// settingsFinding checks the settings file for the doctor.
func settingsFinding() doctor.Finding {
	file, _, err := readSettings()
	f := doctor.Finding{Topic: "settings", Says: "settings are read from " + shortDir(file)}
	if err != nil {
		f.State, f.Says = doctor.Lacks, "the settings are ignored: "+clean(err.Error())
		f.Fix = "correct the file; porttray config check shows the mistake"
	}
	return f
}
