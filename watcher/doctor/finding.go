// Package doctor checks the system that porttray runs on. It reports the working and the broken parts, and how to fix
// them.
//
// A check changes nothing: it starts and wakes no program, and touches no other process. Package tray checks the
// desktop, and reports in the same form.
package doctor

import (
	"context"
	"time"
)

// A Finding reports on one part of the system. Each of its texts is one line without control characters.
type Finding struct {
	Topic string `json:"topic"` // a word or two: "listeners", "tray host"
	State State  `json:"state"`
	Says  string `json:"says"`          // the result in plain words
	Fix   string `json:"fix,omitempty"` // empty if and only if the state is Works
	Fatal bool   `json:"fatal"`         // the tray cannot work; only if the state is Broken
}

// A State says how well something works. In JSON it is a word.
type State int

// The states.
const (
	Works  State = iota
	Lacks        // it works, with something missing
	Broken       // it does not work
)

// String returns the state in lower case.
func (s State) String() string { return [...]string{"works", "lacks", "broken"}[s] }

// MarshalText returns the same as String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Within returns the result of check. It returns false if check takes longer than the limit, or if ctx is done first.
// Then check may go on running in the background: some system calls cannot be cancelled, for example on a dead network
// drive.
func Within[T any](ctx context.Context, limit time.Duration, check func(context.Context) T) (result T, ok bool) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found := make(chan T, 1)
	go func() { found <- check(limited) }()
	select {
	case result = <-found:
		return result, ctx.Err() == nil // an interrupted check has no valid result
	case <-limited.Done():
		return result, false
	}
}

// Unfinished returns the finding for a check without a result, either after the limit or because ctx was done.
func Unfinished(ctx context.Context, topic string, limit time.Duration) Finding {
	if ctx.Err() != nil {
		return Finding{Topic: topic, State: Lacks, Says: "the check was interrupted", Fix: "try again"}
	}
	return Finding{Topic: topic, State: Broken, Says: "no answer within " + limit.String(),
		Fix: "try again; the computer may be overloaded, or a network drive may not answer"}
}
