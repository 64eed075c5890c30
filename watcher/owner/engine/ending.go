package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// An End says how a container ended. The zero value means only that it ended. It is comparable.
type End struct {
	Status      int  // the main process's exit status; 128 plus the number for a signal
	OutOfMemory bool // the kernel killed one of its processes at the memory limit
	Asked       Asked
}

// Asked says whether somebody asked the engine to stop or kill a container.
type Asked int

// The answers.
const (
	Unsure Asked = iota
	Yes
	No
)

// String describes the end in a few words that follow "container": "stopped", "exited with status 1".
func (e End) String() string {
	exited := fmt.Sprintf("exited with status %d", e.Status)
	switch {
	case e.OutOfMemory && e.Status == killed:
		return "killed by SIGKILL: out of memory"
	case e.OutOfMemory:
		return exited + ": out of memory"
	case e.Status == 0, e.Asked == Yes:
		return "stopped"
	}
	return exited
}

// Crashed reports whether the container failed. It failed if it ran out of memory, or if nobody asked it to end and its
// status is not 0. Common signals for an orderly end are not failures either.
func (e End) Crashed() bool {
	return e.OutOfMemory || e.Asked == No && !slices.Contains([]int{0, hungUp, interrupted, terminated}, e.Status)
}

// Exit statuses for a main process that a signal ended.
const (
	hungUp      = 128 + 1
	interrupted = 128 + 2
	killed      = 128 + 9
	terminated  = 128 + 15
)

const (
	// endWithin is how long an engine may take to say how a container ended. Docker says so some hundred milliseconds
	// after it removed the container's ports.
	endWithin = 3 * time.Second
	// endedWithin is the maximum age of an end in Ended.
	endedWithin = 10 * time.Second
	// askedWithin is the maximum time from a stop request to the end. An engine kills a container that does not end in
	// time, mostly after 10 seconds. That kill counts as a request too.
	askedWithin = time.Minute
	// stateAfter is the delay before asking for a container's state if the engine sends no events.
	stateAfter = 500 * time.Millisecond
)

// Ended asks c's engine how c ended after the given time, at which c still ran. It takes some seconds at most. It
// returns false if the engine does not tell, and for pods, because they have several containers.
//
// Ended first reads the engine's events of the last minute, up to the end. They include removed containers, and
// requests to stop. The container's state adds whether it ran out of memory. It also replaces missing events.
func (e *Engines) Ended(ctx context.Context, c Container, after time.Time) (End, bool) {
	if c.Pod || c.ID == "" || !isID(c.ID) || dormant(c.Endpoint) {
		return End{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, endWithin+stateAfter+answerWithin)
	defer cancel()
	if recent := time.Now().Add(-endedWithin); after.Before(recent) {
		after = recent
	}
	end, found := e.endByEvents(ctx, c, after)
	if !found && !sleep(ctx, stateAfter) {
		return End{}, false
	}
	state, known := e.endByState(ctx, c, after)
	switch {
	case !found:
		return state, known
	case known && end.Asked != Yes: // otherwise it may be an old flag
		end.OutOfMemory = end.OutOfMemory || state.OutOfMemory
	}
	return end, true
}

// endByEvents reads a container's events until its end after that time.
func (e *Engines) endByEvents(ctx context.Context, c Container, after time.Time) (End, bool) {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	now := time.Now()
	// Whole seconds, because Podman takes no fractions. The stream ends by itself.
	path := fmt.Sprintf("/events?since=%d&until=%d&filters=%s",
		now.Add(-askedWithin).Unix(), now.Add(endWithin).Unix()+1, url.QueryEscape(`{"container":["`+c.ID+`"]}`))
	resp, err := e.do(ctx, c.Endpoint, http.MethodGet, path)
	if err != nil {
		return End{}, false
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return End{}, false
	}
	return readEnd(http.MaxBytesReader(nil, resp.Body, maxAnswer), after, engineName(c.Endpoint) != "Podman")
}

// An event holds the needed parts of an engine's event.
type event struct {
	Action string
	Nano   int64 `json:"timeNano"`
	Actor  struct {
		Attributes struct {
			ExitCode string `json:"exitCode"`
			Signal   string `json:"signal"`
		}
	}
}

// readEnd reads one container's events up to the first end after that time. tellsAsked says that the engine reports
// stop requests. If it does and reports none, nobody asked.
func readEnd(events io.Reader, after time.Time, tellsAsked bool) (End, bool) {
	dec, began := json.NewDecoder(events), End{}
	if tellsAsked {
		began.Asked = No
	}
	for end := began; ; {
		var ev event
		if dec.Decode(&ev) != nil {
			return End{}, false
		}
		switch ev.Action {
		case "start":
			end = began
		case "oom":
			end.OutOfMemory = true
		case "kill", "stop":
			if ev.Action == "stop" || slices.Contains(endingSignals, ev.Actor.Attributes.Signal) {
				end.Asked = Yes
			}
		case "die":
			status, err := strconv.Atoi(ev.Actor.Attributes.ExitCode)
			if time.Unix(0, ev.Nano).After(after) && err == nil {
				end.Status, end.OutOfMemory = status, end.OutOfMemory && end.Asked != Yes
				return end, true
			}
		}
	}
}

// endingSignals end a container: SIGINT, SIGQUIT, SIGKILL and SIGTERM. Others are mostly requests to a program.
var endingSignals = []string{"2", "3", "9", "15"}

// endByState asks for the state of a container that ended after that time.
func (e *Engines) endByState(ctx context.Context, c Container, after time.Time) (End, bool) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	resp, err := e.do(ctx, c.Endpoint, http.MethodGet, "/containers/"+c.ID+"/json")
	if err != nil {
		return End{}, false
	}
	defer resp.Body.Close()
	var answer struct {
		State struct {
			Running    bool
			OOMKilled  bool
			ExitCode   int
			FinishedAt time.Time
		}
	}
	err = json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxAnswer)).Decode(&answer)
	s := answer.State
	if err != nil || resp.StatusCode != http.StatusOK || s.Running || !s.FinishedAt.After(after) {
		return End{}, false
	}
	return End{Status: s.ExitCode, OutOfMemory: s.OOMKilled}, true
}
