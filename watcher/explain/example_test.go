package explain_test

import (
	"context"
	"fmt"

	"porttray/watcher/explain"
)

// Parse takes an address, a URL, a host with a port, or a port alone.
func ExampleParse() {
	for _, text := range []string{"62893", "127.0.0.1:62893", "http://[::1]:3000/x"} {
		q, err := explain.Parse(context.Background(), text)
		fmt.Println(q, err)
	}
	// Output:
	// port 62893 <nil>
	// 127.0.0.1:62893 <nil>
	// [::1]:3000 <nil>
}

func ExampleParsePort() {
	for _, text := range []string{"3000", "0", "70000", "http"} {
		p, err := explain.ParsePort(text)
		fmt.Println(p, err)
	}
	// Output:
	// 3000 <nil>
	// 0 a port is a number from 1 to 65535
	// 0 a port is a number from 1 to 65535
	// 0 a port is a number from 1 to 65535
}
