package port

import (
	"cmp"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Ephemeral is described in ephemeral_linux.go. Its first call takes as long as netsh, three seconds at most.
func Ephemeral() (first, last uint16, ok bool) {
	r := dynamicPorts()
	return r.first, r.last, r.ok
}

// netshRange is what netsh said.
type netshRange struct {
	first, last uint16
	ok          bool
}

var dynamicPorts = sync.OnceValue(func() netshRange {
	first, last, ok := parseNetsh(askNetsh("ipv4", "show", "dynamicport", "tcp"))
	return netshRange{first, last, ok}
})

// askNetsh returns what netsh prints about an interface, without showing a window; nothing if it does not come to an end in three
// seconds or in 64 kB, many times the length of what it is asked for.
func askNetsh(args ...string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	netsh := filepath.Join(cmp.Or(os.Getenv("SystemRoot"), `C:\Windows`), "System32", "netsh.exe")
	cmd := exec.CommandContext(ctx, netsh, append([]string{"interface"}, args...)...)
	const noWindow = 0x08000000 // CREATE_NO_WINDOW
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: noWindow}
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	const most = 64 << 10
	text, err := io.ReadAll(io.LimitReader(out, most))
	late := ctx.Err() != nil
	cancel()
	_ = cmd.Wait() // killed or not, what it had to say is read
	if err != nil || late || len(text) == most {
		return nil // a number may be cut off
	}
	return text
}
