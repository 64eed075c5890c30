package server_test

import (
	"fmt"
	"net/netip"

	"porttray/watcher/facts"
	"porttray/watcher/owner"
	"porttray/watcher/project"
	"porttray/watcher/server"
)

// Listeners of one process are one server. The head is the port people mean.
func ExampleServers() {
	listener := func(port uint16) server.Listener {
		return server.Listener{
			Port:  port,
			Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
			Owner: owner.Process{PID: 42, Start: 1, Name: "node"},
			Facts: facts.Facts{
				Tool:    facts.Tool{Name: "Vite", Kind: facts.Server},
				Project: project.Project{Name: "shop", Dir: "/home/ann/shop"},
			},
		}
	}
	dynamic := func(port uint16) bool { return port >= 32768 }
	for _, s := range server.Servers([]server.Listener{listener(5173), listener(24678)}, dynamic) {
		fmt.Println(s.Port, s.Title)
		for _, l := range s.Also {
			fmt.Println("also", l.Port, l.Role())
		}
	}
	// Output:
	// 5173 shop · Vite
	// also 24678 HMR
}
