package engine

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A pod in Podman's list: its infra container and two others, each with all ports of the pod. The last container is in
// no pod.
const (
	podID = "0f7d2c9a41be5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7"
	inPod = `"Ports":[{"PrivatePort":80,"PublicPort":8080,"Type":"tcp"},{"PrivatePort":5432,"PublicPort":5432,"Type":"tcp"}]`
	infra = `{"Id":"` + idA +
		`","Names":["/0f7d2c9a41be-infra"],"Image":"localhost/podman-pause:5.0","Labels":null,` + inPod + `}`
	inside1 = `{"Id":"` + idB + `","Names":["/shop-web"],"Image":"docker.io/library/nginx:1","Labels":{},` + inPod + `}`
	inside2 = `{"Id":"cc","Names":["/shop-db"],"Image":"docker.io/library/postgres:17","Labels":{},` + inPod + `}`
	outside = `{"Id":"dd","Names":["/solo"],"Image":"redis","Ports":[{"PrivatePort":6379,"PublicPort":6379,"Type":"tcp"}]}`
	podList = `[{"Cgroup":"user.slice","Containers":[{"Id":"` + idA +
		`","Names":"0f7d2c9a41be-infra","Status":"running"},{"Id":"` + idB +
		`","Names":"shop-web","Status":"running"},{"Id":"cc","Names":"shop-db","Status":"running"}],"Id":"` + podID +
		`","InfraId":"` + idA +
		`","Name":"shop","Networks":["podman"],"Status":"Running"}]`
)

func TestPods(t *testing.T) {
	const socket = "/run/podman/podman.sock"
	for _, c := range []struct {
		name  string
		list  string // the containers
		pods  string // the answer about pods; empty if List must not ask
		names string // the container or pod of each port
		image string // the image of the first container
	}{
		{"two containers", infra + "," + inside1 + "," + inside2 + "," + outside, ok(podList),
			"5432 pod shop, 6379 solo, 8080 pod shop", ""},
		{"one container", infra + "," + inside1, ok(podList), "5432 pod shop, 8080 pod shop",
			"docker.io/library/nginx:1"},
		{"what holds it together alone", infra, ok(podList), "5432 pod shop, 8080 pod shop", ""},
		{"what holds it together has another name",
			strings.Replace(infra, "0f7d2c9a41be-infra", "glue", 1) + "," + inside1, ok(podList),
			"5432 pod shop, 8080 pod shop", "docker.io/library/nginx:1"},
		{"no pod", outside, "", "6379 solo", "redis"},
		{"a container that calls itself so", strings.Replace(outside, "solo", "0f7d2c9a41be-infra", 1), ok("[]"),
			"6379 0f7d2c9a41be-infra", "redis"},
		{"another engine", infra, status(404, "page not found"), "5432 0f7d2c9a41be-infra, 8080 0f7d2c9a41be-infra",
			"localhost/podman-pause:5.0"},
		{"no list", infra, ok("{}"), "5432 0f7d2c9a41be-infra, 8080 0f7d2c9a41be-infra", "localhost/podman-pause:5.0"},
		{"a pod without an ID", infra, ok(strings.ReplaceAll(podList, podID, "../x")),
			"5432 0f7d2c9a41be-infra, 8080 0f7d2c9a41be-infra", "localhost/podman-pause:5.0"},
	} {
		e := fakes(map[string]fake{socket: func(conn net.Conn, r *http.Request) {
			switch r.RequestURI {
			case "/containers/json":
				io.WriteString(conn, ok("["+c.list+"]"))
			case podsPath:
				if c.pods == "" {
					t.Errorf("%s: it was asked for pods", c.name)
				}
				io.WriteString(conn, c.pods)
			}
		}})
		list := e.List(t.Context(), true)
		var names []string
		for _, p := range list.Published {
			name := p.Container.Name
			if p.Container.Pod {
				name = "pod " + name
			}
			names = append(names, fmt.Sprint(p.Port, " ", name))
			if p.Container.Pod && p.Container.ID != podID {
				t.Errorf("%s: the pod's ID is %q", c.name, p.Container.ID)
			}
		}
		if got := strings.Join(names, ", "); got != c.names || list.Published[0].Container.Image != c.image {
			t.Errorf("%s: got %s (%s), want %s (%s)", c.name, got, list.Published[0].Container.Image, c.names, c.image)
		}
	}
}

// TestStopPod stops a pod, not one of its containers.
func TestStopPod(t *testing.T) {
	const socket = "/run/podman/podman.sock"
	var posted []string
	e := fakes(map[string]fake{socket: func(conn net.Conn, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			posted = append(posted, r.RequestURI)
			io.WriteString(conn, ok(`{"Errs":[],"Id":"`+podID+`"}`))
		case r.RequestURI == podsPath:
			io.WriteString(conn, ok(podList))
		default:
			io.WriteString(conn, ok("["+infra+","+inside1+"]"))
		}
	}})
	shop := Container{ID: podID, Name: "shop", Pod: true, Endpoint: socket}
	if err := e.stop(t.Context(), shop, 8080); err != nil || strings.Join(posted, " ") != "/v4.0.0/libpod/pods/"+podID+
		"/stop" {
		t.Errorf("got %v, asked for %q", err, posted)
	}
	if err := e.stop(t.Context(), shop, 8081); err != ErrGone {
		t.Errorf("at a port that it does not publish: got %v, want %v", err, ErrGone)
	}
}
