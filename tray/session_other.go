//go:build !linux

package tray

import (
	"context"

	"porttray/watcher/server"
)

// A session is described in session_linux.go. Windows and macOS always have a tray, and announce the session's end by
// other means. So here a session only sends notices, and receives nothing about them.
type session struct {
	heard   chan func()
	clicked chan server.ID
	plain   beeepSender
}

func openSession(context.Context) (*session, error) { return &session{plain: newBeeepSender()}, nil }

func (s *session) close() {}

// show is described in session_linux.go. It blocks the main goroutine, as macOS demands.
func (s *session) show(
	ctx context.Context, v menu, ready func(root node, f face), signs chan<- sign, drawn <-chan struct{},
) {
	runSystray(ctx, v, ready, signs, drawn)
}

func (s *session) watch(ctx context.Context, hosts chan<- bool) { <-ctx.Done() }

func (s *session) send(ctx context.Context, n notice) error { return s.plain.send(ctx, n) }
