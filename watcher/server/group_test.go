package server_test

import (
	"testing"

	"porttray/watcher/owner"
	"porttray/watcher/server"
)

// TestGroupKnowsWorkers has a Stop of a master ask whether the processes on the port are its workers.
func TestGroupKnowsWorkers(t *testing.T) {
	s := server.Alone(server.Listener{Port: 3000, Owner: owner.Process{PID: 8, Start: 1, Name: "python3"}})
	s.Master = owner.ID{PID: 7, Start: 1}
	if g := s.Group(); g.Master.PID != 7 || g.IsWorker == nil {
		t.Errorf("got the group %+v", g)
	}
}
