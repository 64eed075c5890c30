// Package doctor looks at the system that porttray runs on, and says what works there, what does not, and what helps.
//
// A look changes nothing: nothing is started, woken or sent for it, and nobody else's process is touched. What the desktop has to
// say is looked at by package tray, in the same words.
package doctor

import (
	"context"
	"time"
)

// A Finding is what there is to say about one part of the system. Its texts are fit to show: one line each, without control
// characters.
type Finding struct {
	Topic string `json:"topic"` // a word or two: "listeners", "tray host"
	State State  `json:"state"`
	Says  string `json:"says"`          // what was found, in plain words
	Fix   string `json:"fix,omitempty"` // what helps; empty if and only if the state is Works
	Fatal bool   `json:"fatal"`         // the tray cannot work like this; only of what is Broken
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

// Within returns what look returns, or false when that takes longer than the limit, or ctx is done before. Then look is left
// behind: some of what the system can be asked cannot be cancelled, such as a file on a dead network drive.
func Within[T any](ctx context.Context, limit time.Duration, look func(context.Context) T) (result T, ok bool) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	found := make(chan T, 1)
	go func() { found <- look(limited) }()
	select {
	case result = <-found:
		return result, ctx.Err() == nil // what broke off is no result
	case <-limited.Done():
		return result, false
	}
}

// Unfinished is the finding of a look that Within left behind after the limit, or when ctx was done.
func Unfinished(ctx context.Context, topic string, limit time.Duration) Finding {
	if ctx.Err() != nil {
		return Finding{Topic: topic, State: Lacks, Says: "not looked at to the end, because it was interrupted", Fix: "ask again"}
	}
	return Finding{Topic: topic, State: Broken, Says: "no answer within " + limit.String(), Fix: "ask again; the computer may be overloaded, or a network drive dead"}
}
