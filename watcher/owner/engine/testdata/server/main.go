// Server answers every request until it is told to end. TestDocker puts it into a container. With a status as its
// argument it exits with that status after a second. With "hog" it then takes ever more memory.
package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	// A process with PID 1 ignores signals that it does not handle.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	hello := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }
	go http.ListenAndServe(":8080", http.HandlerFunc(hello))
	if len(os.Args) < 2 {
		<-ended
		return
	}
	time.Sleep(time.Second)
	if status, err := strconv.Atoi(os.Args[1]); err == nil {
		os.Exit(status)
	}
	var hog bytes.Buffer
	for {
		hog.Write(bytes.Repeat([]byte{1}, 1<<20))
	}
}
