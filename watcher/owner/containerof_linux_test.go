package owner

import (
	"os"
	"testing"
)

// BenchmarkContainerOf finds out that a process is in no container.
func BenchmarkContainerOf(b *testing.B) {
	p, err := Identify(int32(os.Getppid()))
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if id, err := containerOf(p.PID); id != "" || err != nil {
			b.Fatal(id, err)
		}
	}
}
