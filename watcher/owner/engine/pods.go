package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// podsPath lists Podman's pods. The Docker part of its API does not show pods.
const podsPath = "/v4.0.0/libpod/pods/json"

// A pod holds the needed parts of Podman's answer.
type pod struct {
	ID         string `json:"Id"`
	Name       string
	InfraID    string `json:"InfraId"` // of the pod's infra container
	Containers []struct {
		ID string `json:"Id"`
	}
}

// joinPods replaces each container in a pod by the pod. All containers of a pod share its ports, and Podman lists the
// ports for each of them. joinPods asks Podman only if there seems to be a pod. Without an answer the containers stay.
func (e *Engines) joinPods(ctx context.Context, socket string, published []Published) []Published {
	if !mayHavePods(published) {
		return published
	}
	pods, err := e.pods(ctx, socket)
	if err != nil {
		return published
	}
	images := map[string]string{} // of the pod's only other container; empty if there are several
	for i, p := range published {
		in, ok := pods[p.Container.ID]
		if !ok {
			continue
		}
		if p.Container.ID != in.InfraID {
			image, known := images[in.ID]
			if images[in.ID] = p.Container.Image; known && image != p.Container.Image {
				images[in.ID] = ""
			}
		}
		published[i].Container = Container{ID: in.ID, Name: clip(in.Name), Pod: true, Endpoint: socket}
	}
	for i, p := range published {
		if p.Container.Pod {
			published[i].Container.Image = images[p.Container.ID]
		}
	}
	return published
}

// pods returns the pods by the IDs of their containers.
func (e *Engines) pods(ctx context.Context, socket string) (map[string]pod, error) {
	resp, err := e.do(ctx, socket, http.MethodGet, podsPath)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp)
	}
	by, n := map[string]pod{}, 0
	err = each(http.MaxBytesReader(nil, resp.Body, maxAnswer), func(dec *json.Decoder) error {
		var p pod
		if err := dec.Decode(&p); err != nil {
			return err
		}
		if n += 1 + len(p.Containers); n > maxContainers {
			return fmt.Errorf("more than %d containers in pods", maxContainers)
		}
		for _, c := range p.Containers {
			if isID(p.ID) && p.ID != "" {
				by[c.ID] = p
			}
		}
		return nil
	})
	return by, err
}

// mayHavePods reports whether some containers seem to be in a pod. Then two publish the same port, or one has the name
// of an infra container. That name begins with the first twelve digits of the pod's ID.
func mayHavePods(published []Published) bool {
	by := map[netip.AddrPort]string{}
	return slices.ContainsFunc(published, func(p Published) bool {
		digits, infra := strings.CutSuffix(p.Container.Name, "-infra")
		at := netip.AddrPortFrom(p.Addr, p.Port)
		first, taken := by[at]
		by[at] = p.Container.ID
		return infra && len(digits) == 12 && isID(digits) || taken && first != p.Container.ID
	})
}

// isID reports whether a text is hexadecimal and short enough for an ID, so that it is safe in a path.
func isID(text string) bool { return len(text) <= 64 && strings.Trim(text, "0123456789abcdef") == "" }
