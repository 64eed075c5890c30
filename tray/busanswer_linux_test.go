package tray

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// The queue refuses calls of a sender that does not wait for answers. The limit falls as the number of senders rises,
// but each sender gets one call in. At the end the queue is empty.
func TestShareOfTheQueue(t *testing.T) {
	q := newBusQueue(nil)
	enters := func(sender string) (n int) {
		for q.enter(sender) {
			n++
		}
		return n
	}
	all := map[string]int{"greedy": enters("greedy"), "second": enters("second")}
	if all["greedy"] != maxCalls || all["second"] != maxCalls/2 {
		t.Errorf("let in are %v, want %d and half of that", all, maxCalls)
	}
	sum := 0
	for n := range 2 * maxCalls {
		sender := fmt.Sprint(n)
		if all[sender] = enters(sender); all[sender] == 0 {
			t.Errorf("%s is not let in", sender)
		}
		sum += all[sender]
	}
	if sum > 10*maxCalls {
		t.Errorf("%d calls of others are let in", sum)
	}
	for sender, n := range all {
		for range n {
			q.leave(sender)
		}
	}
	if len(q.waiting) > 0 {
		t.Errorf("left are %v", q.waiting)
	}
}

// The queue takes over only calls with long answers, and only if the caller wants an answer.
func TestLongAnswersAreTakenOver(t *testing.T) {
	for _, test := range []struct {
		path, iface, method string
		flags, want         dbus.Flags
	}{
		{menuPath, menuName, "GetLayout", 0, dbus.FlagNoReplyExpected | answersItself},
		{menuPath, menuName, "GetGroupProperties", 0, dbus.FlagNoReplyExpected | answersItself},
		{menuPath, menuName, "GetLayout", dbus.FlagNoReplyExpected, dbus.FlagNoReplyExpected},
		{menuPath, menuName, "Event", 0, 0},
		{menuPath, propertiesName, "GetLayout", 0, 0},
		{menuPath, propertiesName, "GetAll", 0, 0},
		{itemPath, propertiesName, "GetAll", 0, dbus.FlagNoReplyExpected | answersItself},
		{itemPath, propertiesName, "Get", 0, dbus.FlagNoReplyExpected | answersItself},
		{itemPath, propertiesName, "Set", 0, 0},
		{menuPath + "/deeper", menuName, "GetLayout", 0, 0}, // nothing is served there
		{menuPath + "s", menuName, "GetLayout", 0, 0},
		{itemPath, menuName, "GetLayout", 0, 0},
	} {
		msg := &dbus.Message{Type: dbus.TypeMethodCall, Flags: test.flags, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath(test.path)),
			dbus.FieldInterface: dbus.MakeVariant(test.iface),
			dbus.FieldMember:    dbus.MakeVariant(test.method),
		}}
		if ownAnswers(msg); msg.Flags != test.want {
			t.Errorf("%+v: the flags are %b", test, msg.Flags)
		}
	}
}

// The queue keeps at most maxCalls waiting calls per sender and refuses the next one at once.
func TestTooManyCallsAreRefused(t *testing.T) {
	q := newBusQueue(nil)
	m, icon := newBusMenu(q, nil), busIcon{queue: q}
	call := dbus.Message{Flags: answersItself,
		Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldSender: dbus.MakeVariant(":1.7")}}
	const nobodys = 99
	answers := make(chan *dbus.Error, maxCalls)
	for range maxCalls {
		go func() { answers <- m.answerLayout(nobodys, -1, nil, call) }()
	}
	for waiting := 0; waiting < maxCalls; {
		q.mu.Lock()
		waiting = q.waiting[":1.7"]
		q.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	for method, err := range map[string]*dbus.Error{"GetLayout": m.answerLayout(nobodys, -1, nil, call),
		"GetAll": icon.answerAll("", call)} {
		if err == nil || err.Name != "org.freedesktop.DBus.Error.LimitsExceeded" {
			t.Errorf("%s: %v", method, err)
		}
	}
	close(q.built)
	for range maxCalls {
		if err := <-answers; err == nil || err.Name != noSuchItem(nobodys).Name {
			t.Errorf("one that waited: %v", err)
		}
	}
}

// An answer from before a change is sent before the signal for the change, because a panel believes the last message.
func TestAnswersComeBeforeNews(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	conn, err := dbus.NewConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	q := newBusQueue(conn)
	m := newBusMenu(q, nil)
	entry := m.root.Add("old", plain)
	m.commit()
	close(q.built)
	call := dbus.Message{Flags: answersItself,
		Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldSender: dbus.MakeVariant(":1.7")}}
	go q.answer(call, func(string) ([]any, *dbus.Error) {
		old := m.properties(nil)
		entry.SetTitle("new")
		go m.commit()
		time.Sleep(50 * time.Millisecond) // time to send the change, if it did not wait
		return []any{old}, nil
	})
	for _, want := range []dbus.Type{dbus.TypeMethodReply, dbus.TypeSignal} {
		msg, err := dbus.DecodeMessage(theirs)
		if err != nil {
			t.Fatal(err)
		}
		if msg.Type != want {
			t.Fatalf("got a %v, want a %v", msg.Type, want)
		}
	}
}
