package terminal

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"porttray/watcher/doctor"
	"porttray/watcher/history"
)

func doctorCommand(p Program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check this system, and say how to fix each problem",
		Long: `Checks the system and the desktop: how and how fast ports are listed, hidden owners, container engines,
the tray host, notifications, and files. A line below each problem says how to fix it. The command starts and changes
nothing. Exit status 1 means that the tray cannot work here.`,
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			var system, desktop []doctor.Finding
			var wg sync.WaitGroup
			wg.Go(func() { system = doctor.System(c.Context()) })
			wg.Go(func() { desktop = p.Examine(c.Context()) })
			wg.Wait()
			r := report{p.Version, slices.Concat(system, desktop, []doctor.Finding{settingsFinding(), memory()})}
			out := c.OutOrStdout()
			var err error
			if asJSON {
				err = writeJSON(out, r)
			} else {
				_, err = out.Write(r.text(styleOf(out)))
			}
			if err == nil && slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.Fatal }) {
				return errNo
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// A report lists the doctor's findings.
type report struct {
	Version  string           `json:"version"`
	Findings []doctor.Finding `json:"findings"`
}

// memory checks the history file.
func memory() doctor.Finding {
	lacks := func(err error, fix string) doctor.Finding {
		says := "closed servers are not remembered: " + clean(err.Error())
		return doctor.Finding{Topic: "memory", State: doctor.Lacks, Says: says, Fix: fix}
	}
	file, err := history.File()
	if err != nil {
		return lacks(err, "give this user a home directory ($HOME)")
	}
	if _, err := history.Read(); err != nil {
		return lacks(err, "delete the file; porttray then starts a new one")
	}
	if err := history.Writable(file); err != nil {
		dir := shortDir(filepath.Dir(file))
		return lacks(err, "let this user write to "+dir+", and check the free space on the disk")
	}
	return doctor.Finding{Topic: "memory", Says: "closed servers are remembered in " + shortDir(file)}
}

// text returns the report as text: each finding, and its fix below it, wrapped at the width of s.
func (r report) text(s style) []byte {
	marks := map[doctor.State][2]string{
		doctor.Works: {"ok", green}, doctor.Lacks: {"lacks", yellow}, doctor.Broken: {"broken", red},
	}
	width := prose
	if s.width > 0 {
		width = max(tooSmall, s.width)
	}
	topics := 0
	for _, f := range r.Findings {
		topics = max(topics, cellWidth(f.Topic))
	}
	const marked = len("broken  ")
	left := marked + topics + 2
	var b bytes.Buffer
	b.WriteString("porttray " + r.Version + "\n\n")
	for _, f := range r.Findings {
		mark := marks[f.State]
		head := s.paint(mark[0], mark[1]) + strings.Repeat(" ", marked-len(mark[0])) +
			f.Topic + strings.Repeat(" ", topics-cellWidth(f.Topic)+2)
		for _, line := range wrap(clean(f.Says), width-left) {
			b.WriteString(head + leftToRight(line) + "\n")
			head = strings.Repeat(" ", left)
		}
		if f.Fix == "" {
			continue
		}
		for i, line := range wrap(clean(f.Fix), width-left-2) {
			arrow := map[bool]string{true: "→ ", false: "  "}[i == 0]
			b.WriteString(strings.Repeat(" ", left) + arrow + s.paint(line, bold) + "\n")
		}
	}
	return b.Bytes()
}
