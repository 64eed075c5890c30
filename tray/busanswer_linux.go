package tray

import (
	"sync"

	"github.com/godbus/dbus/v5"
)

const (
	// maxCalls is how many calls can wait for their answers. Panels send one call at a time, or a few.
	maxCalls = 64
	// answersItself is a flag of a call: its method sends the answer. No message on the bus has it.
	answersItself dbus.Flags = 1 << 7
)

// A busQueue builds long answers to panels one after another. Godbus runs each call at once and would hold all answers
// until the bus takes them. A call of some hundred bytes has an answer of some hundred kilobytes.
type busQueue struct {
	conn  *dbus.Conn
	built chan struct{} // closed by show; answers wait for it
	// turn is locked while an answer is built and sent, and while a change is signalled. So a panel never gets an older
	// answer after the signal of a change.
	turn sync.Mutex

	mu      sync.Mutex     // guards waiting
	waiting map[string]int // unanswered calls by the bus name of the sender
}

func newBusQueue(conn *dbus.Conn) *busQueue {
	return &busQueue{conn: conn, built: make(chan struct{}), waiting: map[string]int{}}
}

// ownAnswers intercepts each arriving message. It makes godbus leave the answer of a long call to its method.
func ownAnswers(msg *dbus.Message) {
	path, _ := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	of, _ := msg.Headers[dbus.FieldInterface].Value().(string) // optional in a call
	long := false
	switch method := msg.Headers[dbus.FieldMember].Value(); path {
	case menuPath:
		long = (of == menuName || of == "") && (method == "GetLayout" || method == "GetGroupProperties")
	case itemPath:
		long = (of == propertiesName || of == "") && (method == "Get" || method == "GetAll")
	}
	if long && msg.Type == dbus.TypeMethodCall && msg.Flags&dbus.FlagNoReplyExpected == 0 {
		msg.Flags |= dbus.FlagNoReplyExpected | answersItself
	}
}

// answer sends the values of to as the answer of a call. It waits for the call's turn and for show.
func (q *busQueue) answer(call dbus.Message, to func(sender string) ([]any, *dbus.Error)) *dbus.Error {
	if call.Flags&answersItself == 0 {
		return nil // the caller wants no answer
	}
	sender := senderOf(call)
	if !q.enter(sender) {
		return dbus.NewError("org.freedesktop.DBus.Error.LimitsExceeded", []any{"too many calls wait for answers"})
	}
	defer q.leave(sender)
	<-q.built
	q.turn.Lock()
	defer q.turn.Unlock()
	body, err := to(sender)
	if err != nil {
		return err
	}
	q.conn.Send(&dbus.Message{Type: dbus.TypeMethodReply, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(sender),
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(body...)),
	}}, nil) // it fails only when the session has ended
	return nil
}

func senderOf(call dbus.Message) string {
	sender, _ := call.Headers[dbus.FieldSender].Value().(string)
	return sender
}

// emit sends a signal to everybody or, if to is not empty, to that connection only. Before show it sends nothing. A
// send fails only when the session has ended.
func (q *busQueue) emit(to string, path dbus.ObjectPath, of, signal string, args ...any) {
	select {
	case <-q.built:
	default:
		return
	}
	headers := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(of),
		dbus.FieldMember:    dbus.MakeVariant(signal),
	}
	if len(args) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	if to != "" {
		headers[dbus.FieldDestination] = dbus.MakeVariant(to)
	}
	q.conn.Send(&dbus.Message{Type: dbus.TypeSignal, Headers: headers, Body: args}, nil)
}

// enter reports whether one more call of a sender may wait. Senders share maxCalls, and each may always have one. So a
// greedy sender keeps nobody else from an answer.
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
