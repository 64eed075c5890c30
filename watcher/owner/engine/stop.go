package engine

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

// ErrGone says that there is nothing to stop: the container has ended or no longer publishes the port.
var ErrGone = errors.New("the container has ended or does not publish the port any more")

// Stop asks c's engine to stop it. The engine sends the container's stop signal, and kills it after the container's
// stop timeout, by default 10 seconds. A pod stops with all its containers. Stop returns when the container has ended.
// If ctx is done earlier, the engine may still go on.
//
// First Stop asks whether this very container still publishes the port or, for port 0, still runs and publishes
// nothing. Otherwise it stops nothing and returns ErrGone. Any other error is in plain words. It wraps fs.ErrPermission
// if this user may not stop it.
func Stop(ctx context.Context, c Container, port uint16) error {
	var e Engines
	return e.stop(ctx, c, port)
}

func (e *Engines) stop(ctx context.Context, c Container, port uint16) error {
	socket := c.Endpoint
	short, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	published, others, err := e.ask(short, socket)
	if err != nil {
		return err
	}
	matches := func(p Published) bool { return p.Port == port && p.Container.ID == c.ID }
	publishes := slices.ContainsFunc(published, matches)
	runs := port == 0 && slices.ContainsFunc(others, func(o Container) bool { return o.ID == c.ID })
	if !publishes && !runs {
		return ErrGone
	}
	// The ID is safe in a path, because decode accepts only hexadecimal IDs.
	path := "/containers/" + c.ID + "/stop"
	if c.Pod {
		path = "/v4.0.0/libpod/pods/" + c.ID + "/stop"
	}
	resp, err := e.do(ctx, socket, http.MethodPost, path)
	if err != nil && ctx.Err() != nil {
		return &problem{engineName(socket) + " was asked to stop it and has not done so yet", err}
	}
	if err != nil {
		return explain(socket, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent, http.StatusNotModified: // the last if it has stopped meanwhile
		return nil
	case http.StatusNotFound:
		return ErrGone
	case http.StatusUnauthorized, http.StatusForbidden:
		return &problem{engineName(socket) + " does not let this user stop it", statusError(resp)}
	}
	return &problem{engineName(socket) + " could not stop it", statusError(resp)}
}
