package watcher

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// witnessed scans once more while this process listens briefly on each of the lost address families. If the scan does
// not see that listener, witnessed returns an error. gopsutil returns some failures as empty lists (a failed table on
// Windows or lsof on macOS, a missing file on Linux). The returned snapshot excludes the witness.
func witnessed(ctx context.Context, scan func(context.Context) (Snapshot, error), lost []string) (Snapshot, error) {
	witnesses := map[string]uint16{}
	for _, network := range lost {
		loopback := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
		witness, err := (&net.ListenConfig{}).Listen(ctx, network, loopback)
		if unavailable(err) {
			continue // this family is unavailable now, so an empty list is plausible
		}
		if err != nil {
			return Snapshot{}, fmt.Errorf("make sure that the list is complete: %w", err)
		}
		defer witness.Close()
		witnesses[network] = uint16(witness.Addr().(*net.TCPAddr).Port)
	}
	seen, err := scan(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	var blind []string
	for _, network := range lost {
		port, ok := witnesses[network]
		if !ok {
			continue
		}
		at := slices.IndexFunc(seen.Listeners, func(l server.Listener) bool {
			return l.Port == port && (l.Owner.PID == owner.Self() || !l.Owner.Known())
		})
		if at < 0 {
			blind = append(blind, network)
			continue
		}
		seen.Listeners = slices.Delete(slices.Clone(seen.Listeners), at, at+1)
	}
	if len(blind) > 0 {
		return Snapshot{},
			fmt.Errorf("the system's list of listeners is incomplete: it lacks %s", strings.Join(blind, " and "))
	}
	return seen, nil
}

// isWitness reports whether a listener is the witness of another porttray. A porttray has no other listeners.
func isWitness(l server.Listener) bool {
	return l.Owner.Porttray() && l.Owner.PID != owner.Self() && !l.Exposed()
}
