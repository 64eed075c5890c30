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

// Ephemeral is described in ephemeral_linux.go. Its first call waits for netsh, three seconds at most.
func Ephemeral() (first, last uint16, ok bool) {
	r := dynamicPorts()
	return r.first, r.last, r.ok
}

// netshRange is the answer of netsh.
type netshRange struct {
	first, last uint16
	ok          bool
}

var dynamicPorts = sync.OnceValue(func() netshRange {
	first, last, ok := parseNetsh(askNetsh("ipv4", "show", "dynamicport", "tcp"))
	return netshRange{first, last, ok}
})

// askNetsh returns the output of "netsh interface" with more arguments, and shows no window. It returns nothing if
// netsh takes more than three seconds or prints 64 kB. The wanted lists are many times shorter.
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
	_ = cmd.Wait() // the output is read, even if netsh was killed
	if err != nil || late || len(text) == most {
		return nil // a number may be cut off
	}
	return text
}
