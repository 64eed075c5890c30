package owner_test

import (
	"fmt"

	"porttray/watcher/owner"
)

// Names and titles of processes are untrusted text.
func ExamplePrintable() {
	fmt.Println(owner.Printable("my\nserver\x1b[31m", 40))
	fmt.Println(owner.Printable("a very long title of a process", 12))
	// Output:
	// my server [31m
	// a very long…
}
