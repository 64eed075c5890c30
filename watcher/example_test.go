package watcher_test

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"porttray/watcher"
	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// web returns a listener of a node process on 127.0.0.1.
func web(port uint16, pid int32) server.Listener {
	return server.Listener{
		Port:  port,
		Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
		Owner: owner.Process{PID: pid, Start: uint64(pid), Name: "node"},
	}
}

// A Watcher with a Scan function of its own delivers the first state, and then each change. Without one it scans this
// computer.
func ExampleWatcher() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	scans := 0
	w := watcher.Watcher{Interval: time.Millisecond, Scan: func(context.Context) (watcher.Snapshot, error) {
		scans++
		if scans == 1 {
			return watcher.Snapshot{Time: time.Now()}, nil
		}
		return watcher.Snapshot{Time: time.Now(), Listeners: []server.Listener{web(3000, 42)}}, nil
	}}
	updates := make(chan watcher.Update)
	go w.Run(ctx, updates)

	fmt.Println("servers at first:", len((<-updates).Snapshot.Servers))
	for _, e := range (<-updates).Events {
		fmt.Println(e.Kind, e.Title, e.Port)
	}
	// Output:
	// servers at first: 0
	// opened node 3000
}

// Diff compares servers, not listeners: the second port of a process makes no event.
func ExampleDiff() {
	snapshot := func(listeners ...server.Listener) watcher.Snapshot {
		none := func(uint16) bool { return false } // the system picks no port by itself
		return watcher.Snapshot{Listeners: listeners, Servers: server.Servers(listeners, none)}
	}
	before := snapshot(web(3000, 42), web(8000, 43))
	after := snapshot(web(3000, 42), web(3001, 42), web(9000, 44))
	for _, e := range watcher.Diff(before, after) {
		fmt.Println(e.Kind, e.Port)
	}
	// Output:
	// closed 8000
	// opened 9000
}
