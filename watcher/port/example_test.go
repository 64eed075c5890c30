package port_test

import (
	"fmt"

	"porttray/watcher/port"
)

func ExampleClassOf() {
	for _, p := range []uint16{80, 5432, 62893} {
		class := port.ClassOf(p)
		first, last := class.Range()
		fmt.Printf("%d: %v (%d–%d)\n", p, class, first, last)
	}
	// Output:
	// 80: well-known (0–1023)
	// 5432: registered (1024–49151)
	// 62893: dynamic (49152–65535)
}
