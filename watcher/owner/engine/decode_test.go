package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// text formats ports for the wants of the tests below.
func text(published []Published) string {
	var lines []string
	for _, p := range published {
		c := p.Container
		lines = append(lines, fmt.Sprintf("%v %d %s %s %s/%s", p.Addr, p.Port, c.Name, c.Image, c.Project, c.Service))
	}
	return strings.Join(lines, "; ")
}

// TestDecodeRecorded reads recorded answers of Docker 20.10, with its userland proxy and without. Without the proxy,
// Docker lists no IPv6 and listens on IPv4 itself. The answer in Podman's form was written by hand.
func TestDecodeRecorded(t *testing.T) {
	tests := []struct{ file, want string }{
		{"docker-20.10-proxy.json",
			"127.0.0.1 5432 shop-db-1 probe shop/db; 0.0.0.0 8080 shop-web-1 probe shop/web; :: 8080 shop-web-1 probe shop/web; 127.0.0.1 8081 shop-web-1 probe shop/web"},
		{"docker-20.10-noproxy.json",
			"127.0.0.1 5432 shop-db-1 probe shop/db; 0.0.0.0 8080 shop-web-1 probe shop/web; 127.0.0.1 8081 shop-web-1 probe shop/web"},
		{"podman-shape.json",
			"127.0.0.1 5432 db docker.io/library/postgres:17 /; :: 8080 shop_web_1 docker.io/library/nginx:latest shop/web"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			f, err := os.Open("testdata/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, _, err := decode(f, "/docker.sock")
			if err != nil || text(tidy(got)) != tt.want {
				t.Errorf("got %q, %v\nwant %q", text(tidy(got)), err, tt.want)
			}
		})
	}
}

// TestInside reads the private port of a container behind a published port. An invalid number counts as unknown.
func TestInside(t *testing.T) {
	for said, want := range map[string]uint16{"": 0, `,"PrivatePort":5432`: 5432, `,"PrivatePort":65535`: 65535,
		`,"PrivatePort":65536`: 0, `,"PrivatePort":-1`: 0} {
		got, _, err := decode(strings.NewReader(`[{"Id":"ab","Ports":[{"PublicPort":80,"Type":"tcp"`+said+`}]}]`),
			"/docker.sock")
		if err != nil || len(got) != 1 || got[0].Inside != want {
			t.Errorf("%s: got %+v, %v, want %d", said, got, err, want)
		}
	}
}

func TestDecode(t *testing.T) {
	with := func(ports string) string { return `[{"Id":"` + idA + `","Names":["/web"],"Ports":` + ports + `}]` }
	tests := []struct{ name, answer, want string }{
		{"nothing", "", ""},
		{"null", "null", ""},
		{"empty", "[]", ""},
		{"null within", "[null]", ""},
		{"no ports", `[{"Id":"` + idA + `"}]`, ""},
		{"null ports", with("null"), ""},
		{"one", with(`[{"IP":"10.0.0.1","PublicPort":80,"Type":"tcp"}]`), "10.0.0.1 80 web  /"},
		{"no address", with(`[{"PublicPort":80,"Type":"tcp"}]`), ":: 80 web  /"},
		{"mapped address", with(`[{"IP":"::ffff:127.0.0.1","PublicPort":80,"Type":"tcp"}]`), "127.0.0.1 80 web  /"},
		{"no address that is one", with(`[{"IP":"localhost","PublicPort":80,"Type":"tcp"}]`), ""},
		{"zone", with(`[{"IP":"fe80::1%eth0","PublicPort":80,"Type":"tcp"}]`), ""},
		{"not published", with(`[{"PrivatePort":80,"Type":"tcp"},{"IP":"::","PublicPort":0,"Type":"tcp"}]`), ""},
		{"no port that is one", with(`[{"PublicPort":65536,"Type":"tcp"},{"PublicPort":-1,"Type":"tcp"}]`), ""},
		{"other protocols", with(`[{"PublicPort":53,"Type":"udp"},{"PublicPort":54,"Type":"sctp"},{"PublicPort":55}]`),
			""},
		{"ID that is a path", `[{"Id":"../images","Ports":[{"PublicPort":80,"Type":"tcp"}]}]`, ""},
		{"long ID", `[{"Id":"` + idA + `0","Ports":[{"PublicPort":80,"Type":"tcp"}]}]`, ""},
		{"linked", `[{"Id":"ab","Names":["/app/db","/db"],"Ports":[{"PublicPort":80,"Type":"tcp"}]}]`, ":: 80 db  /"},
		{"no name", `[{"Id":"ab","Names":null,"Ports":[{"PublicPort":80,"Type":"tcp"}]}]`, ":: 80   /"},
		{
			"labels of podman-compose",
			`[{"Id":"ab","Labels":{"io.podman.compose.project":"p","io.podman.compose.service":"s"},"Ports":[{"PublicPort":80,"Type":"tcp"}]}]`,
			":: 80   p/s",
		},
		{"null labels", `[{"Id":"ab","Labels":null,"Ports":[{"PublicPort":80,"Type":"tcp"}]}]`, ":: 80   /"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, err := decode(strings.NewReader(tt.answer), "/docker.sock"); err != nil || text(got) != tt.want {
				t.Errorf("got %q, %v, want %q", text(got), err, tt.want)
			}
		})
	}
}

func TestDecodeFailed(t *testing.T) {
	ports := func(n int) string {
		return `[{"Id":"ab","Ports":[` + strings.TrimSuffix(strings.Repeat(`{"PublicPort":80,"Type":"tcp"},`, n), ",") +
			`]}]`
	}
	if got, _, err := decode(strings.NewReader(ports(maxPublished)), "/docker.sock"); err != nil ||
		len(got) != maxPublished {
		t.Errorf("%d ports: got %d, %v", maxPublished, len(got), err)
	}
	tests := []struct{ name, answer string }{
		{"too many ports", ports(maxPublished + 1)},
		{"object", "{}"},
		{"number", "7"},
		{"cut off", one[:len(one)-1]},
		{"cut off early", "["},
		{"list of lists", "[[]]"},
		{"ports that are none", `[{"Id":"ab","Ports":{}}]`},
		{"a port that is none", `[{"Id":"ab","Ports":[80]}]`},
		{"a port in words", `[{"Id":"ab","Ports":[{"PublicPort":"80"}]}]`},
		{"deep", strings.Repeat("[", 1<<20)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, _, err := decode(strings.NewReader(tt.answer), "/docker.sock"); err == nil || got != nil {
				t.Errorf("got %+v, want an error", got)
			}
		})
	}
}

func TestClip(t *testing.T) {
	tests := []struct{ s, want string }{
		{"", ""},
		{strings.Repeat("a", 256), strings.Repeat("a", 256)},
		{strings.Repeat("a", 257), strings.Repeat("a", 256)},
		{strings.Repeat("ä", 200), strings.Repeat("ä", 128)},
		{"a" + strings.Repeat("ä", 200), "a" + strings.Repeat("ä", 127)},
		{"a" + strings.Repeat("🐘", 200), "a" + strings.Repeat("🐘", 63)},
		{strings.Repeat("\x80", 300), strings.Repeat("\x80", 252)},
	}
	for _, tt := range tests {
		if got := clip(tt.s); got != tt.want {
			t.Errorf("clip(%q) = %q, want %q", tt.s, got, tt.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, file := range []string{"docker-20.10-proxy.json", "docker-20.10-noproxy.json", "podman-shape.json"} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(one))
	f.Add([]byte(`[null,{"Id":"../x","Names":["/a/b"],"Ports":[null,{"IP":"::1%x","PublicPort":1,"Type":"tcp"}]}]`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, _, err := decode(strings.NewReader(string(answer)), "/docker.sock")
		if err != nil && got != nil || len(got) > maxPublished {
			t.Errorf("%d ports, %v", len(got), err)
		}
		for _, p := range got {
			c := p.Container
			if p.Port == 0 || !p.Addr.IsValid() || p.Addr.Zone() != "" || c.ID == "" ||
				strings.Trim(c.ID, "0123456789abcdef") != "" {
				t.Errorf("got %+v", p)
			}
			for _, s := range []string{c.ID, c.Name, c.Image, c.Project, c.Service} {
				if len(s) > maxText || !utf8.ValidString(s) {
					t.Errorf("got %q in %+v", s, p)
				}
			}
		}
		if again := tidy(slices.Clone(got)); !slices.Equal(again, tidy(slices.Clone(again))) {
			t.Errorf("sorting again changed the order: %+v", got)
		}
	})
}

// TestDecodeOthers reads the containers that publish nothing. The result leaves out containers that people work in.
func TestDecodeOthers(t *testing.T) {
	labelled := func(labels string) string {
		return `[{"Id":"ab","Names":["/web"],"Ports":[],"Labels":{` + labels + `}}]`
	}
	for _, tt := range []struct{ name, answer, want string }{
		{"nothing published", none, "web"},
		{"no ports at all", `[{"Id":"ab","Names":["/web"]}]`, "web"},
		{"ports that are not published", `[{"Id":"ab","Names":["/web"],"Ports":[{"PrivatePort":80,"Type":"tcp"}]}]`,
			"web"},
		{"published", one, ""},
		{"no ID", `[{"Id":"","Names":["/web"]}]`, ""},
		{"an ID that is none", `[{"Id":"../x","Names":["/web"]}]`, ""},
		{"Toolbx", labelled(`"com.github.containers.toolbox":"true"`), ""},
		{"Distrobox", labelled(`"manager":"distrobox"`), ""},
		{"another manager", labelled(`"manager":"me"`), "web"},
	} {
		_, others, err := decode(strings.NewReader(tt.answer), "/docker.sock")
		var names []string
		for _, c := range others {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}
