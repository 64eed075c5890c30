package watcher

import (
	"os"
	"testing"
)

// The first portable scan proves that it sees both address families, and leaves no trace of the proof.
func TestPortable(t *testing.T) {
	port := listen(t, "tcp4", "127.0.0.1:0")
	src := portable(false)
	defer src.close()
	for range 2 {
		s, err := src.scan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Holders(port)) != 1 {
			t.Errorf("port %d is missing", port)
		}
		for _, l := range s.Listeners {
			if l.Owner.PID == int32(os.Getpid()) && l.Port != port {
				t.Errorf("port %d is of the scan itself", l.Port)
			}
		}
	}
}
