package project

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porttray/watcher/project/projecttest"
)

func TestProject(t *testing.T) {
	const npm, mod = `{"name": "shop"}`, "module example.com/api\n"
	long := strings.Repeat("n", 500)
	tests := []struct {
		name  string
		files map[string]string // paths below the home directory
		dir   string            // also below the home directory
		want  Project           // Dir is below the home directory too
	}{
		{"package.json", map[string]string{"a/package.json": npm}, "a", Project{Name: "shop", Dir: "a"}},
		{"go.mod", map[string]string{"a/go.mod": "module example.com/api/v2\n"}, "a", Project{Name: "api", Dir: "a"}},
		{"pyproject.toml", map[string]string{"a/pyproject.toml": "[project]\nname = 'py'\n"}, "a",
			Project{Name: "py", Dir: "a"}},
		{"Poetry", map[string]string{"a/pyproject.toml": "[tool.poetry]\nname = 'py'\n"}, "a",
			Project{Name: "py", Dir: "a"}},
		{"Cargo.toml", map[string]string{"a/Cargo.toml": "[package]\nname = 'rs'\n"}, "a",
			Project{Name: "rs", Dir: "a"}},
		{"Cargo workspace", map[string]string{"a/Cargo.toml": "[workspace]\nmembers = []\n"}, "a",
			Project{Name: "a", Dir: "a"}},
		{"composer.json", map[string]string{"a/composer.json": `{"name": "acme/php"}`}, "a",
			Project{Name: "acme/php", Dir: "a"}},
		{"pom.xml", map[string]string{"a/pom.xml": "<project><artifactId>mvn</artifactId></project>"}, "a",
			Project{Name: "mvn", Dir: "a"}},
		{"settings.gradle", map[string]string{"a/settings.gradle": "rootProject.name = 'gr'"}, "a",
			Project{Name: "gr", Dir: "a"}},
		{"settings.gradle.kts", map[string]string{"a/settings.gradle.kts": `rootProject.name = "kt"`}, "a",
			Project{Name: "kt", Dir: "a"}},
		{"deno.json", map[string]string{"a/deno.json": `{"name": "de",}`}, "a", Project{Name: "de", Dir: "a"}},
		{"deno.jsonc", map[string]string{"a/deno.jsonc": `{"name": "de"} // !`}, "a", Project{Name: "de", Dir: "a"}},
		{"mix.exs", map[string]string{"a/mix.exs": "[app: :ex]"}, "a", Project{Name: "ex", Dir: "a"}},
		{"Gemfile", map[string]string{"a/Gemfile": "name 'x'"}, "a", Project{Name: "a", Dir: "a"}},
		{".git", map[string]string{"a/.git/HEAD": "ref: refs/heads/x/y\n"}, "a",
			Project{Name: "a", Dir: "a", Branch: "x/y"}},
		{"detached", map[string]string{"a/.git/HEAD": "4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"}, "a",
			Project{Name: "a", Dir: "a"}},
		{"empty .git", map[string]string{"a/.git/": ""}, "a", Project{Name: "a", Dir: "a"}},
		{"broken .git file", map[string]string{"a/.git": "x"}, "a", Project{Name: "a", Dir: "a"}},
		{".git file that names nothing that is there", map[string]string{"a/.git": "gitdir: ../b\n"}, "a",
			Project{Name: "a", Dir: "a"}},

		{"first marker of a directory", map[string]string{"a/go.mod": mod, "a/package.json": npm, "a/.git/HEAD": ""},
			"a", Project{Name: "shop", Dir: "a"}},
		{"second marker of a directory", map[string]string{"a/go.mod": mod, "a/Cargo.toml": "", "a/Gemfile": ""}, "a",
			Project{Name: "api", Dir: "a"}},
		{"a nameless marker speaks for its directory", map[string]string{"a/package.json": "{}", "a/go.mod": mod}, "a",
			Project{Name: "a", Dir: "a"}},
		{"far below", map[string]string{"a/package.json": npm, "a/b/c/d/e/": ""}, "a/b/c/d/e",
			Project{Name: "shop", Dir: "a"}},
		{"nearest", map[string]string{"a/package.json": npm, "a/b/Gemfile": "", "a/b/c/": ""}, "a/b/c",
			Project{Name: "b", Dir: "a/b"}},
		{"nearest in a monorepo",
			map[string]string{"a/.git/HEAD": "ref: refs/heads/main\n", "a/package.json": `{"name": "root"}`,
				"a/packages/web/package.json": npm, "a/packages/web/src/": ""}, "a/packages/web/src",
			Project{Name: "shop", Dir: "a/packages/web", Branch: "main"}},
		{"repository in a project", map[string]string{"a/package.json": npm, "a/b/.git/HEAD": "ref: refs/heads/b\n"},
			"a/b",
			Project{Name: "b", Dir: "a/b", Branch: "b"}},

		{"nothing in the home directory counts",
			map[string]string{"package.json": npm, ".git/HEAD": "ref: refs/heads/dots\n", "a/b/": ""}, "a/b",
			Project{Name: "b", Dir: "a/b"}},
		{"the home directory", map[string]string{"package.json": npm, ".git/HEAD": "ref: refs/heads/dots\n"}, "",
			Project{}},
		{"unmarked", map[string]string{"a/b/": ""}, "a/b", Project{Name: "b", Dir: "a/b"}},
		{"deleted", map[string]string{"a/package.json": npm}, "a/b (deleted)", Project{Name: "shop", Dir: "a"}},
		{"deleted and unmarked", map[string]string{"a/": ""}, "a/b (deleted)", Project{}},
		{"too far below", map[string]string{"a/package.json": npm, "a" + strings.Repeat("/b", 40) + "/": ""},
			"a" + strings.Repeat("/b", 40),
			Project{Name: "b", Dir: "a" + strings.Repeat("/b", 40)}},
		{"just not too far", map[string]string{"a/package.json": npm, "a" + strings.Repeat("/b", 39) + "/": ""},
			"a" + strings.Repeat("/b", 39),
			Project{Name: "shop", Dir: "a"}},

		{"installed package", map[string]string{"a/package.json": npm,
			"a/node_modules/vite/package.json": `{"name": "vite"}`}, "a/node_modules/vite",
			Project{Name: "shop", Dir: "a"}},
		{"package of a package",
			map[string]string{"a/package.json": npm, "a/node_modules/x/node_modules/y/package.json": `{"name": "y"}`},
			"a/node_modules/x/node_modules/y", Project{Name: "shop", Dir: "a"}},
		{"installed next to nothing", map[string]string{"a/node_modules/vite/package.json": `{"name": "vite"}`},
			"a/node_modules/vite",
			Project{Name: "a", Dir: "a"}},
		{"installed in the home directory", map[string]string{"node_modules/vite/package.json": `{"name": "vite"}`},
			"node_modules/vite", Project{}},
		{"Python package", map[string]string{"a/Gemfile": "",
			"a/env/lib/python3.13/site-packages/x/pyproject.toml": "project.name = 'x'"},
			"a/env/lib/python3.13/site-packages/x", Project{Name: "a", Dir: "a"}},
		{"built by Next.js", map[string]string{"a/package.json": npm,
			"a/.next/standalone/package.json": `{"name": "x"}`}, "a/.next/standalone",
			Project{Name: "shop", Dir: "a"}},
		{"vendored", map[string]string{"a/go.mod": mod, "a/vendor/example.com/x/package.json": `{"name": "x"}`},
			"a/vendor/example.com/x",
			Project{Name: "api", Dir: "a"}},
		{"a directory called vendor", map[string]string{"a/vendor/package.json": npm, "a/package.json": "{}"},
			"a/vendor",
			Project{Name: "shop", Dir: "a/vendor"}},
		{"vendor in the home directory", map[string]string{"go.mod": mod, "vendor/x/package.json": npm}, "vendor/x",
			Project{Name: "shop", Dir: "vendor/x"}},

		{"hidden", map[string]string{".gradle/daemon/4.4.1/": ""}, ".gradle/daemon/4.4.1", Project{}},
		{"hidden in a directory", map[string]string{"a/b/.cache/x/": ""}, "a/b/.cache/x",
			Project{Name: "b", Dir: "a/b"}},
		{"hidden in a project", map[string]string{"a/package.json": npm, "a/.cache/x/": ""}, "a/.cache/x",
			Project{Name: "shop", Dir: "a"}},
		{"hidden repository", map[string]string{".dots/.git/HEAD": "ref: refs/heads/main\n"}, ".dots", Project{}},
		{"a named project in a hidden directory", map[string]string{".x/y/package.json": npm}, ".x/y",
			Project{Name: "shop", Dir: ".x/y"}},
		{"a virtual environment", map[string]string{"a/venv/bin/": ""}, "a/venv/bin", Project{Name: "a", Dir: "a"}},
		{"what CLion builds", map[string]string{"a/cmake-build-debug/": ""}, "a/cmake-build-debug",
			Project{Name: "a", Dir: "a"}},
		{"compiled Python", map[string]string{"a/__pycache__/": ""}, "a/__pycache__", Project{Name: "a", Dir: "a"}},
		{"build directories", map[string]string{"a/target/release/": ""}, "a/target/release",
			Project{Name: "a", Dir: "a"}},
		{"nothing but build directories", map[string]string{"tmp/build/1.0/": ""}, "tmp/build/1.0", Project{}},
		{"built into a project", map[string]string{"a/package.json": npm, "a/dist/package.json": "{}"}, "a/dist",
			Project{Name: "shop", Dir: "a"}},
		{"built into a directory", map[string]string{"a/b/dist/package.json": "{}"}, "a/b/dist",
			Project{Name: "b", Dir: "a/b"}},
		{"built with a name", map[string]string{"a/package.json": "{}", "a/dist/package.json": npm}, "a/dist",
			Project{Name: "shop", Dir: "a/dist"}},
		{"built into a repository",
			map[string]string{"a/.git/HEAD": "ref: refs/heads/x\n", "a/dist/package.json": "{}"},
			"a/dist", Project{Name: "a", Dir: "a", Branch: "x"}},
		{"working trees by version", map[string]string{"a/b/1.2.0/.git/HEAD": "ref: refs/heads/x\n"}, "a/b/1.2.0",
			Project{Name: "b", Dir: "a/b/1.2.0", Branch: "x"}},
		{"releases by time", map[string]string{"a/releases/20240101120000/Gemfile": ""}, "a/releases/20240101120000",
			Project{Name: "a", Dir: "a"}},

		{"blank name", map[string]string{"a/package.json": `{"name": " \t\u200b"}`}, "a", Project{Name: "a", Dir: "a"}},
		{"escape sequences", map[string]string{"a/package.json": `{"name": "\u001b]0;x\u0007"}`}, "a",
			Project{Name: "\x1b]0;x\a", Dir: "a"}},
		{"long name", map[string]string{"a/package.json": `{"name": "` + long + `"}`}, "a",
			Project{Name: long[:128], Dir: "a"}},
		{"long branch", map[string]string{"a/.git/HEAD": "ref: refs/heads/" + long}, "a",
			Project{Name: "a", Dir: "a", Branch: long[:128]}},
		{"broken", map[string]string{"a/package.json": `{"name": "shop"`, "a/go.mod": mod}, "a",
			Project{Name: "a", Dir: "a"}},
		{"invalid UTF-8", map[string]string{"a/pyproject.toml": "[project]\nname = 'a\xff'"}, "a",
			Project{Name: "a", Dir: "a"}},
		{"too large", map[string]string{"a/go.mod": mod + strings.Repeat("\n", small)}, "a",
			Project{Name: "a", Dir: "a"}},
		{"just not too large", map[string]string{"a/go.mod": mod + strings.Repeat("\n", small-len(mod))}, "a",
			Project{Name: "api", Dir: "a"}},
		{"a directory is no marker", map[string]string{"a/package.json/": "", "a/go.mod": mod}, "a",
			Project{Name: "api", Dir: "a"}},
		{"working in it", map[string]string{"a/package.json/x": "", "a/go.mod": mod}, "a/package.json",
			Project{Name: "api", Dir: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home := projecttest.TempHome(t)
			projecttest.Plant(t, home, tt.files)
			if tt.want.Dir != "" {
				tt.want.Dir = filepath.Join(home, filepath.FromSlash(tt.want.Dir))
			}
			dir := filepath.Join(home, filepath.FromSlash(tt.dir))
			for _, homes := range [][]string{{home}, {"/nowhere", home}} {
				if got := Find(t.Context(), dir, homes...); got != tt.want {
					t.Errorf("homes %q: got %+v, want %+v", homes, got, tt.want)
				}
			}
		})
	}
}

func TestProjectOutsideHome(t *testing.T) {
	dir := projecttest.TempHome(t)
	projecttest.Plant(t, dir, map[string]string{"a/package.json": `{"name": "shop"}`, "b/": ""})
	want := Project{Name: "shop", Dir: filepath.Join(dir, "a")}
	if got := Find(t.Context(), want.Dir); got != want {
		t.Errorf("marked: got %+v, want %+v", got, want)
	}
	for _, dir := range []string{filepath.Join(dir, "b"), filepath.VolumeName(dir) + string(filepath.Separator), "",
		"a", "."} {
		if got := Find(t.Context(), dir, filepath.Join(want.Dir, "nowhere")); got != (Project{}) {
			t.Errorf("%q: got %+v, want none", dir, got)
		}
	}
}

func TestStops(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the paths are those of Unix")
	}
	tests := []struct {
		dir  string
		want bool
	}{
		{"/", true}, {"/home", false}, {"/home/ada", true}, {"/home/ada/shop", false}, {"/Users/ada", true},
		{"/Users/ada/shop", false},
		{"/var/home/ada", true}, {"/mnt/c/Users/ada", true}, {"/mnt/c/Users/ada/shop", false}, {"/mnt/c", false},
		{"/srv/me", true},
		{"/srv/me/shop", false}, {"/srv/meadow", false}, {"/srv", false}, {"/srv/home/ada", false},
	}
	for _, tt := range tests {
		if got := isRootOrHome(tt.dir, []string{"/root", "/srv/me"}); got != tt.want {
			t.Errorf("stops(%q) = %t, want %t", tt.dir, got, tt.want)
		}
	}
}

func TestHomeDirs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("symbolic links need a privilege there")
	}
	real := projecttest.TempHome(t)
	link := filepath.Join(projecttest.TempHome(t), "me")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		home string
		want []string
	}{
		{real, []string{real}}, {real + "/", []string{real}}, {link, []string{link, real}},
		{real + "/gone", []string{real + "/gone"}}, {"", nil}, {"me", nil},
	}
	for _, tt := range tests {
		t.Setenv("HOME", tt.home)
		if got := HomeDirs(); !slices.Equal(got, tt.want) {
			t.Errorf("HOME=%s: got %q, want %q", tt.home, got, tt.want)
		}
	}
}

// git runs git in dir, without the settings of this machine.
func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a",
		"GIT_AUTHOR_EMAIL=a@b",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v: %s", args, err, out)
	}
}

func TestProjectOfGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip(err)
	}
	home := projecttest.TempHome(t)
	projecttest.Plant(t, home, map[string]string{"shop/package.json": `{"name": "shop"}`, "shop/src/": "", "lib/x": ""})
	shop, lib := filepath.Join(home, "shop"), filepath.Join(home, "lib")
	git(t, lib, "init", "-q", "-b", "trunk")
	git(t, lib, "add", "x")
	git(t, lib, "commit", "-q", "-m", "x")
	git(t, shop, "init", "-q", "-b", "main")
	git(t, shop, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "-b", "trunk", lib, "libs/lib")
	git(t, shop, "add", ".")
	git(t, shop, "commit", "-q", "-m", "shop")
	git(t, shop, "worktree", "add", "-q", "-b", "feature/cart", filepath.Join(home, "cart"))
	git(t, shop, "worktree", "add", "-q", "--detach", filepath.Join(shop, ".worktrees", "old"))
	git(t, home, "clone", "-q", "--bare", shop, "bare.git")
	git(t, filepath.Join(home, "bare.git"), "worktree", "add", "-q", "-b", "fix", filepath.Join(home, "fix"))

	tests := []struct {
		dir  string
		want Project
	}{
		{"shop/src", Project{Name: "shop", Dir: "shop", Branch: "main"}},
		{"shop/libs/lib", Project{Name: "lib", Dir: "shop/libs/lib", Branch: "trunk"}},
		{"cart", Project{Name: "shop", Dir: "cart", Branch: "feature/cart", Worktree: true}},
		{"shop/.worktrees/old", Project{Name: "shop", Dir: "shop/.worktrees/old", Worktree: true}},
		{"fix", Project{Name: "shop", Dir: "fix", Branch: "fix", Worktree: true}},
	}
	for _, tt := range tests {
		tt.want.Dir = filepath.Join(home, filepath.FromSlash(tt.want.Dir))
		if got := Find(t.Context(), filepath.Join(home, filepath.FromSlash(tt.dir)), home); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.dir, got, tt.want)
		}
	}
}

// TestProjectHangs has file systems that do not answer.
func TestProjectHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSurvey(func(string) (fs.FileInfo, error) {
			<-release
			return nil, fs.ErrNotExist
		}, openFile)
		home := projecttest.TempHome(t)
		dir := filepath.Join(home, "a")
		took := func(ctx context.Context) time.Duration {
			begun := time.Now()
			if got := s.project(ctx, dir, []string{home}); got != (Project{}) {
				t.Errorf("got %+v from a file system that does not answer", got)
			}
			return time.Since(begun)
		}
		for i := range maxSearches {
			if d := took(t.Context()); d != searchTime {
				t.Errorf("look-up %d came back after %v, want %v", i, d, searchTime)
			}
		}
		if d := took(t.Context()); d != 0 {
			t.Errorf("one more came back after %v", d)
		}
		close(release)
		synctest.Wait()
		if got, want := s.project(t.Context(), dir, nil), (Project{}); got != want {
			t.Errorf("once it answers: got %+v, want %+v", got, want)
		}
	})
}

func TestProjectManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = time.Millisecond // for each call; a look-up makes a few calls
		s := newSurvey(func(name string) (fs.FileInfo, error) {
			time.Sleep(slow)
			return os.Stat(name)
		}, openFile)
		home := projecttest.TempHome(t)
		projecttest.Plant(t, home, map[string]string{"a/package.json": `{"name": "shop"}`})
		want := Project{Name: "shop", Dir: filepath.Join(home, "a")}
		var looks sync.WaitGroup
		for range 20 * maxSearches {
			looks.Go(func() {
				if got := s.project(t.Context(), want.Dir, []string{home}); got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
		looks.Wait()
	})
}

func TestProjectCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := newSurvey(func(string) (fs.FileInfo, error) {
			<-release
			return nil, fs.ErrNotExist
		}, openFile)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		begun := time.Now()
		if got := s.project(ctx, projecttest.TempHome(t), nil); got != (Project{}) ||
			time.Since(begun) != time.Millisecond {
			t.Errorf("got %+v after %v, want nothing after %v", got, time.Since(begun), time.Millisecond)
		}
		close(release)
	})
}

// TestProjectReplaced replaces the file between stat and open.
func TestProjectReplaced(t *testing.T) {
	home := projecttest.TempHome(t)
	projecttest.Plant(t, home,
		map[string]string{"a/package.json": `{"name": "shop"}`, "large": strings.Repeat(" ", large+1)})
	instead := map[string]func(string) (fs.File, error){
		"a directory": func(string) (fs.File, error) { return openFile(home) },
		"too large":   func(string) (fs.File, error) { return openFile(filepath.Join(home, "large")) },
		"gone":        func(string) (fs.File, error) { return nil, fs.ErrNotExist },
		"unreadable":  func(string) (fs.File, error) { return brokenFile{}, nil },
	}
	want := Project{Name: "a", Dir: filepath.Join(home, "a")}
	for name, open := range instead {
		if got := newSurvey(os.Stat, open).project(t.Context(), want.Dir, []string{home}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// A brokenFile can be opened, but Stat and Read fail.
type brokenFile struct{ fs.File }

func (brokenFile) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (brokenFile) Close() error               { return nil }

func TestProjectUnreadable(t *testing.T) {
	home := projecttest.TempHome(t)
	projecttest.Plant(t, home, map[string]string{"a/package.json": `{"name": "shop"}`, "a/b/": ""})
	file := filepath.Join(home, "a", "package.json")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	want := Project{Name: "a", Dir: filepath.Join(home, "a")}
	if _, err := os.ReadFile(file); err == nil {
		want.Name = "shop" // this user may read everything
	}
	if got := Find(t.Context(), filepath.Join(home, "a", "b"), home); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func BenchmarkProject(b *testing.B) {
	home := projecttest.TempHome(b)
	projecttest.Plant(b, home, map[string]string{
		"named/package.json": string(markerFile(b, "package.json")), "named/.git/HEAD": "ref: refs/heads/main\n",
		"named/1/2/3/4/5/": "", "none/1/2/3/4/5/": "",
	})
	for _, bench := range []struct{ name, dir string }{
		{"MarkerSixLevelsUp", "named/1/2/3/4/5"}, {"NoMarkerInSixLevels", "none/1/2/3/4/5"}, {"MarkerHere", "named"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			dir := filepath.Join(home, filepath.FromSlash(bench.dir))
			b.ReportAllocs()
			for b.Loop() {
				if Find(b.Context(), dir, home) == (Project{}) {
					b.Fatal("no project")
				}
			}
		})
	}
}

func TestNamesNothing(t *testing.T) {
	nothing := ".gradle .git build Build dist out bin target release Debug tmp temp releases " +
		"4.4.1 8.5 v20.11.0 v2 1.2.3-rc1 1.0.0-SNAPSHOT 20240101120000 1.2.x net8.0 netcoreapp3.1"
	for name := range strings.FieldsSeq(nothing) {
		if !IsGenericName(name) {
			t.Errorf("%s names a project", name)
		}
	}
	for name := range strings.FieldsSeq("shop 2048 007 builder dist2 shop-1.2 1password web3 v 4.4.1-shop python3.12") {
		if IsGenericName(name) {
			t.Errorf("%s names nothing", name)
		}
	}
}
