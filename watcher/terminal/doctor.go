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
		Short: "Say what works here, what does not, and what helps",
		Long: `Looks at the system and the desktop: how ports are listed and what that takes, whose owners stay hidden, container engines, the
tray host, notifications, and files. What lacks something has a line with what helps. Nothing is started or changed for it.
Exit status 1 means that the tray cannot work here.`,
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

// A report is what the doctor has to say.
type report struct {
	Version  string           `json:"version"`
	Findings []doctor.Finding `json:"findings"`
}

// memory tells of the file in which what closed is remembered.
func memory() doctor.Finding {
	lacks := func(err error, fix string) doctor.Finding {
		return doctor.Finding{Topic: "memory", State: doctor.Lacks, Says: "what closed is not remembered: " + clean(err.Error()), Fix: fix}
	}
	file, err := history.File()
	if err != nil {
		return lacks(err, "give this user a home directory ($HOME)")
	}
	if _, err := history.Read(); err != nil {
		return lacks(err, "delete the file; it is only a convenience")
	}
	if err := history.Writable(file); err != nil {
		return lacks(err, "let this user write to "+shortDir(filepath.Dir(file))+", and see that there is room on the disk")
	}
	return doctor.Finding{Topic: "memory", Says: "what closed is remembered in " + shortDir(file)}
}

// text returns the report in words: a line for each finding, wrapped where that is wanted, and below it what helps.
func (r report) text(s style) []byte {
	marks := map[doctor.State][2]string{doctor.Works: {"ok", green}, doctor.Lacks: {"lacks", yellow}, doctor.Broken: {"broken", red}}
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
		head := s.paint(mark[0], mark[1]) + strings.Repeat(" ", marked-len(mark[0])) + f.Topic + strings.Repeat(" ", topics-cellWidth(f.Topic)+2)
		for _, line := range wrap(clean(f.Says), width-left) {
			b.WriteString(head + leftToRight(line) + "\n")
			head = strings.Repeat(" ", left)
		}
		if f.Fix == "" {
			continue
		}
		for i, line := range wrap(clean(f.Fix), width-left-2) {
			b.WriteString(strings.Repeat(" ", left) + map[bool]string{true: "→ "}[i == 0] + strings.Repeat("  ", min(i, 1)) + s.paint(line, bold) + "\n")
		}
	}
	return b.Bytes()
}
