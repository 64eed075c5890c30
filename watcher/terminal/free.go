package terminal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"porttray/watcher/explain"
	"porttray/watcher/port"
)

func freeCommand() *cobra.Command {
	var from, many int
	c := &cobra.Command{
		Use:   "free",
		Short: "Find ports that can be bound now",
		Long: `Prints free ports, one per line, upward from --from. porttray binds each one on 127.0.0.1 and ::1 to try
it. Another program may take a port before you do. Exit status 1 means that there are fewer free ports than --count.`,
		Args:              exactly(0, ""),
		ValidArgsFunction: completeNothing,
		RunE: func(c *cobra.Command, _ []string) error {
			const most = 65535
			switch {
			case from < 1 || from > most:
				return badUsage(fmt.Sprintf("--from %d", from), explain.ErrPort)
			case many < 1 || many > most:
				return badUsage(fmt.Sprintf("--count %d", many), errors.New("a number from 1 to 65535"))
			}
			found, err := port.FreeFrom(uint16(from), many)
			var b bytes.Buffer
			for _, p := range found {
				fmt.Fprintln(&b, p)
			}
			if _, werr := c.OutOrStdout().Write(b.Bytes()); werr != nil || err != nil {
				return cmp.Or(werr, err)
			}
			if len(found) < many {
				return fmt.Errorf("only %d of %d ports from %d up can be bound", len(found), many, from)
			}
			return nil
		},
	}
	c.Flags().IntVar(&from, "from", 3000, "the first port to try")
	c.Flags().IntVarP(&many, "count", "n", 1, "how many to find")
	return c
}
