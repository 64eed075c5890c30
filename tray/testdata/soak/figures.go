package main

// This file is not a part of the program. The soak test adds it to the main package when it builds the program (see the
// -overlay flag of the go command). Everything else is the program as shipped.

import (
	"encoding/json"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
)

// profileRate is the number of allocated bytes per sample of the heap profile. A sample of every object would make the
// program several times as slow.
const profileRate = 128

func init() {
	runtime.MemProfileRate = profileRate // before any allocation of the program itself
	path := os.Getenv("PORTTRAY_SOAK_FIGURES")
	if path == "" {
		return
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		slog.Error("no figures for the soak test", "err", err)
		os.Exit(1)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			answer(c)
		}
	}()
}

// answer writes the figures to a connection: one line of JSON, and then the stacks of the goroutines.
func answer(c net.Conn) {
	defer c.Close()
	runtime.GC()
	runtime.GC() // the second collection frees objects with finalizers, and the contents of sync.Pool
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	_ = json.NewEncoder(c).Encode(map[string]int{
		"goroutines": runtime.NumGoroutine(),
		"heap":       int(sample[0].Value.Uint64()),
		"timers":     timers(),
	})
	_ = pprof.Lookup("goroutine").WriteTo(c, 1)
}

// timers returns about how many timers of package time are in use: still referenced, or going to fire. Each sample of
// the profile stands for several timers, depending on its size.
func timers() int {
	records := make([]runtime.MemProfileRecord, 1000)
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, 2*n)
	}
	count := 0.0
	for _, r := range records {
		// time.newTimer allocates a timer itself; NewTimer also allocates its channel.
		frames := runtime.CallersFrames(r.Stack())
		for {
			frame, more := frames.Next()
			if strings.HasPrefix(frame.Function, "runtime.") {
				if !more {
					break
				}
				continue
			}
			if frame.Function == "time.newTimer" {
				n := float64(r.InUseObjects())
				if n > 0 {
					count += n / (1 - math.Exp(-float64(r.InUseBytes())/n/profileRate))
				}
			}
			break
		}
	}
	return int(math.Round(count))
}
