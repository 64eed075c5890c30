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

// An End says how a container ended. The zero value says no more than that it did. It is comparable.
type End struct {
	Status      int  // the exit status of its main process; 128 and a number for a signal
	OutOfMemory bool // the kernel killed a process of it at its memory limit
	Asked       Asked
}

// Asked says whether somebody had the engine stop or kill a container.
type Asked int

// The answers.
const (
	Unsure Asked = iota
	Yes
	No
)

// String says it in a few words that follow "container": "stopped", "exited with status 1".
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

// Crashed reports whether the container failed: it ran out of memory, or nobody asked it to end and its status is not 0. A
// program that ends by a signal which people send to end it in good order has not crashed either.
func (e End) Crashed() bool {
	return e.OutOfMemory || e.Asked == No && !slices.Contains([]int{0, hungUp, interrupted, terminated}, e.Status)
}

// The statuses of a main process that a signal ended.
const (
	hungUp      = 128 + 1
	interrupted = 128 + 2
	killed      = 128 + 9
	terminated  = 128 + 15
)

const (
	// endWithin is the time that an engine has for saying how a container ended. Docker tells it some hundred milliseconds after it
	// took the container's ports away.
	endWithin = 3 * time.Second
	// endedWithin is how long ago a container has ended at most when somebody asks how.
	endedWithin = 10 * time.Second
	// askedWithin is how long before its end somebody asked for that at most. An engine kills a container that does not end in time,
	// 10 seconds mostly; that kill counts by itself.
	askedWithin = time.Minute
	// stateAfter is how long to wait for a container's state where the engine tells no events.
	stateAfter = 500 * time.Millisecond
)

// Ended asks c's engine how c ended after a moment at which c ran. It takes some seconds at most. False means that the engine does
// not tell. Pods are not asked about: they have several containers.
//
// The engine's events of the last minute come first. They tell of removed containers, and whether somebody asked for the end. They
// are read until the end is among them. The container's state adds whether it ran out of memory, or stands in for the events.
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
	case known && end.Asked != Yes: // else it may have been long ago
		end.OutOfMemory = end.OutOfMemory || state.OutOfMemory
	}
	return end, true
}

// endByEvents reads the events of a container until its end after that moment.
func (e *Engines) endByEvents(ctx context.Context, c Container, after time.Time) (End, bool) {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	now := time.Now()
	// Whole seconds, because Podman takes no fractions. The stream ends by itself.
	path := fmt.Sprintf("/events?since=%d&until=%d&filters=%s", now.Add(-askedWithin).Unix(), now.Add(endWithin).Unix()+1,
		url.QueryEscape(`{"container":["`+c.ID+`"]}`))
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

// An event is the part of an engine's event that counts here.
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

// readEnd reads the events of one container up to the first end after that moment. Not all engines tell when they are asked to end
// a container. From others silence means that nobody asked.
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

// endingSignals are those that end a container: SIGINT, SIGQUIT, SIGKILL and SIGTERM. Others mostly tell a program to do something.
var endingSignals = []string{"2", "3", "9", "15"}

// endByState asks for the state of a container that ended after that moment.
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
