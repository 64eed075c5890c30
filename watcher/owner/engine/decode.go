package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// container holds the needed parts of an answer to /containers/json. Podman answers in the same form.
type container struct {
	ID     string `json:"Id"`
	Names  []string
	Image  string
	Ports  json.RawMessage // decoded one by one: a small answer can hold very many
	Labels struct {
		Project       string `json:"com.docker.compose.project"`
		Service       string `json:"com.docker.compose.service"`
		PodmanProject string `json:"io.podman.compose.project"`
		PodmanService string `json:"io.podman.compose.service"`
		Toolbox       string `json:"com.github.containers.toolbox"`
		Manager       string `json:"manager"`
	}
}

// isWorkspace reports whether people work in the container like on the computer itself, as in Toolbx and Distrobox.
func (raw container) isWorkspace() bool {
	return raw.Labels.Toolbox == "true" || raw.Labels.Manager == "distrobox"
}

// decode reads the answer to /containers/json. It returns the published ports, and the containers without any. Every
// part must have the right form. An entry with a senseless value, such as an invalid address, is left out.
func decode(answer io.Reader, socket string) (all []Published, others []Container, err error) {
	containers, ports := 0, 0
	err = each(answer, func(dec *json.Decoder) error {
		if containers++; containers > maxContainers {
			return fmt.Errorf("more than %d containers", maxContainers)
		}
		var raw container
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		c, before := raw.clean(socket), len(all)
		err := each(bytes.NewReader(raw.Ports), func(dec *json.Decoder) error {
			if ports++; ports > maxPorts {
				return fmt.Errorf("more than %d ports", maxPorts)
			}
			var port port
			if err := dec.Decode(&port); err != nil {
				return err
			}
			if p, ok := port.published(c); ok {
				all = append(all, p)
			}
			if len(all) > maxPublished {
				return fmt.Errorf("more than %d published ports", maxPublished)
			}
			return nil
		})
		if len(all) == before && c.ID != "" && !raw.isWorkspace() {
			others = append(others, c)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return all, others, nil
}

// each calls do for every element of the array in r, and do must decode it. Empty input and null are empty arrays.
func each(r io.Reader, do func(*json.Decoder) error) error {
	dec := json.NewDecoder(r)
	switch token, err := dec.Token(); {
	case err == io.EOF, err == nil && token == nil:
		return nil
	case err != nil:
		return err
	case token != json.Delim('['):
		return fmt.Errorf("%v instead of a list", token)
	}
	for dec.More() {
		if err := do(dec); err != nil {
			return err
		}
	}
	_, err := dec.Token() // the end of the array, or an error
	return err
}

// clean returns the container with trimmed texts. An invalid ID becomes empty, because IDs go into paths.
func (raw container) clean(socket string) Container {
	c := Container{
		Name:     clip(name(raw.Names)),
		Image:    clip(raw.Image),
		Project:  clip(cmp.Or(raw.Labels.Project, raw.Labels.PodmanProject)),
		Service:  clip(cmp.Or(raw.Labels.Service, raw.Labels.PodmanService)),
		Endpoint: socket,
	}
	if isID(raw.ID) {
		c.ID = raw.ID
	}
	return c
}

// name returns the container's own name. Names begin with a slash. A name from a link to another container has two.
func name(names []string) string {
	for _, name := range names {
		if name = strings.TrimPrefix(name, "/"); name != "" && !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

// clip cuts s to maxText bytes, between characters.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

// port is a port of a container. PublicPort is 0 if it is not published.
type port struct {
	IP          string
	PublicPort  int
	PrivatePort int
	Type        string
}

// published returns p as a published TCP port of c. It returns false if p is not one.
func (p port) published(c Container) (Published, bool) {
	addr := netip.IPv6Unspecified()
	if p.IP != "" {
		var err error
		if addr, err = netip.ParseAddr(p.IP); err != nil || addr.Zone() != "" {
			return Published{}, false
		}
	}
	ok := c.ID != "" && p.Type == "tcp" && p.PublicPort > 0 && p.PublicPort <= math.MaxUint16
	inside := uint16(0)
	if p.PrivatePort > 0 && p.PrivatePort <= math.MaxUint16 {
		inside = uint16(p.PrivatePort)
	}
	return Published{Addr: addr.Unmap(), Port: uint16(p.PublicPort), Inside: inside, Container: c}, ok
}
