package tray

import (
	"sync"

	"github.com/godbus/dbus/v5"
)

const (
	// maxCalls is how many calls of a panel can wait for their answers. Panels ask for one thing after another, or a few.
	maxCalls = 64
	// answersItself, among the flags of a call, means that its method sends the answer. No message on the bus has it.
	answersItself dbus.Flags = 1 << 7
)

// A busQueue has long answers be made and sent one after another. Godbus runs each call at once and would hold the answers of all of
// them until the bus takes them: some hundred kilobytes each, for calls of some hundred bytes.
type busQueue struct {
	turn sync.Mutex // held from when an answer is made until it is sent

	mu      sync.Mutex     // guards what follows
	waiting map[string]int // calls that are not answered yet, by the bus names of those who called
}

// takeOver has godbus leave the answer to a call, if it wants one, to its method.
func takeOver(call *dbus.Message) {
	if call.Flags&dbus.FlagNoReplyExpected == 0 {
		call.Flags |= dbus.FlagNoReplyExpected | answersItself
	}
}

// answer answers a call that was taken over with what to returns, when it is the call's turn and there is something to show.
func (m *busMenu) answer(call dbus.Message, to func(sender string) ([]any, *dbus.Error)) *dbus.Error {
	if call.Flags&answersItself == 0 {
		return nil // nobody waits for it
	}
	sender, _ := call.Headers[dbus.FieldSender].Value().(string)
	if !m.queue.enter(sender) {
		return dbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", []any{"too many calls wait for their answers"})
	}
	defer m.queue.leave(sender)
	<-m.built
	m.queue.turn.Lock()
	defer m.queue.turn.Unlock()
	body, err := to(sender)
	if err != nil {
		return err
	}
	m.conn.Send(&dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(sender),
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(body...)),
	}}, nil) // it fails only when the session has ended
	return nil
}

// enter reports whether one more call of a sender may wait. The more senders there are the fewer, but one always: who asks for too
// much keeps nobody else from an answer.
func (q *busQueue) enter(sender string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[sender] >= max(1, maxCalls/max(1, len(q.waiting))) {
		return false
	}
	q.waiting[sender]++
	return true
}

func (q *busQueue) leave(sender string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[sender]--; q.waiting[sender] == 0 {
		delete(q.waiting, sender)
	}
}
