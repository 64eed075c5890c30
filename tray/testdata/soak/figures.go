package main

// This file is no part of the program. The soak test adds it to the program's main package when it builds that (see the -overlay flag of
// the go command), so that everything else is the program as it is shipped.

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

// profileRate is how many bytes are allocated for each object that the profile of the heap knows. To know all of them would make the
// program several times as slow, and the test with it.
const profileRate = 128

func init() {
	runtime.MemProfileRate = profileRate // before anything is allocated that matters
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

// answer writes the figures to whoever connects: one line of JSON, and after it what the goroutines do.
func answer(c net.Conn) {
	defer c.Close()
	runtime.GC()
	runtime.GC() // what was freed by finalizers of the first is gone with the second; so is what sync.Pool keeps
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	_ = json.NewEncoder(c).Encode(map[string]int{
		"goroutines": runtime.NumGoroutine(),
		"heap":       int(sample[0].Value.Uint64()),
		"timers":     timers(),
	})
	_ = pprof.Lookup("goroutine").WriteTo(c, 1)
}

// timers returns about how many timers are in use that package time has made: those that something still refers to, or that will go off.
// Each that the profile knows stands for several, as many as its size makes likely.
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
		// A timer is what these allocate themselves; NewTimer allocates its channel as well.
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
