package owner

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	searchTime  = 500 * time.Millisecond // for the whole look-up of a project
	maxSearches = 4                      // look-ups at work at once, those that hang included
	maxLevels   = 40                     // directories looked at, from the working directory upward
	maxName     = 128                    // bytes of a name that are kept
)

// project returns the project of a process that works in dir, an absolute path; homes are the spellings of this user's
// home directory, as from homeDirs. The project is the nearest directory from dir upward that holds one of markers, and
// is called what that file says, else what the directory is called. Where no directory is marked, dir itself is the
// project, provided that it lies below this user's home; else there is none. A directory whose name namesNothing is
// passed by for the next one. Home directories and roots of file systems are not looked into: a stray package.json or
// the git repository of somebody's dot files says nothing about all that lies below.
//
// A dead network file system can hold a call for ever, and such a call cannot be cancelled. It is left behind after half a
// second, at most four times: while that many hang, project returns nothing, at once.
func project(ctx context.Context, dir string, homes ...string) Project {
	return disk.project(ctx, dir, homes)
}

// disk is the one survey of the real file systems, because its limit counts for the whole program.
var disk = newSurvey(os.Stat, openFile)

// homeDirs returns this user's home directory the way it is named and, if that differs, the way the system names the working
// directories of processes, with symbolic links followed: some systems keep /home elsewhere.
func homeDirs() []string {
	home, err := os.UserHomeDir()
	if err != nil || !filepath.IsAbs(home) {
		return nil
	}
	home = filepath.Clean(home)
	if real, err := filepath.EvalSymlinks(home); err == nil && real != home {
		return []string{home, real}
	}
	return []string{home}
}

// A survey looks projects up in a file system, never more than maxLooks at once.
type survey struct {
	stat func(name string) (fs.FileInfo, error) // follows symbolic links
	open func(name string) (fs.File, error)     // does not wait for the other end of a FIFO

	*guard
}

func newSurvey(stat func(string) (fs.FileInfo, error), open func(string) (fs.File, error)) *survey {
	return &survey{stat, open, newGuard(maxSearches)}
}

// openFile opens a file for reading. O_NONBLOCK is for a FIFO or a leased file that took the name of a regular one just now.
func openFile(name string) (fs.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (s *survey) project(ctx context.Context, dir string, homes []string) Project {
	if !filepath.IsAbs(dir) {
		return Project{}
	}
	p, _ := guarded(ctx, s.guard, searchTime, func(ctx context.Context) Project { return s.find(ctx, filepath.Clean(dir), homes) })
	return p
}

// look returns the project of dir, however long that takes.
func (s *survey) find(ctx context.Context, dir string, homes []string) Project {
	var p Project
	dir = s.outside(dir, homes)
	for d := range upward(dir, homes) {
		if ctx.Err() != nil {
			return Project{}
		}
		if p.Name == "" {
			if name, marked := s.marked(d); marked && (name != "" || p.Dir == "") {
				p.Name, p.Dir = name, d
			}
		}
		git, err := s.stat(filepath.Join(d, ".git"))
		if err == nil && (git.IsDir() || git.Mode().IsRegular()) {
			if p.Name == "" {
				p.Name, _ = nearestName(d, homes)
				p.Dir = d
			}
			p.Branch, p.Worktree = s.checkout(d, git)
			break
		}
	}
	switch {
	case p.Name != "":
		return p
	case p.Dir != "":
		dir = p.Dir
	case !below(dir, homes):
		return Project{}
	default:
		// The directory of a process may be deleted, or be one inside a container, of which this path says nothing.
		if info, err := s.stat(dir); err != nil || !info.IsDir() {
			return Project{}
		}
		dir = outsideHidden(dir, homes)
	}
	p.Name, p.Dir = nearestName(dir, homes)
	if p.Name == "" {
		return Project{}
	}
	return p
}

// nearestName returns the nearest directory from dir upward whose name may be that of a project, or nothing.
func nearestName(dir string, homes []string) (name, root string) {
	for d := range upward(dir, homes) {
		if base := filepath.Base(d); !isGenericName(base) {
			return shortName(base), d
		}
	}
	return "", ""
}

// builds are the directories that builds, deployments and experiments make.
const genericDirs = "build dist out bin obj target debug release releases tmp temp _build publish x64 x86 coverage " +
	"bazel-bin bazel-out zig-out node_modules venv virtualenv env __pycache__"

var versionNumber = regexp.MustCompile(`(?i)^(v?\d+(\.\d+)+` +
	`([-.+_]?(alpha|beta|rc|snapshot|final|release|dev|pre|ga|x|m|a|b)[-.]?\d*)*` +
	`|v\d+|\d{8,}|net(coreapp|standard)?\d\.\d)$`)

// namesNothing reports whether a directory's name says nothing about the project in it: it is hidden, a version number,
// or the name that every project gives to what was built.
func isGenericName(base string) bool {
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "cmake-build-") || among(genericDirs, strings.ToLower(base)) ||
		versionNumber.MatchString(base)
}

// outsideHidden returns the directory that holds the outermost hidden one in dir's path, or dir when there is none.
// Tools keep their own files there.
func outsideHidden(dir string, homes []string) string {
	out := dir
	for d := range upward(dir, homes) {
		if strings.HasPrefix(filepath.Base(d), ".") {
			out = filepath.Dir(d)
		}
	}
	return out
}

// upward yields dir and the directories above it that may be looked into, the nearest first.
func upward(dir string, homes []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for range maxLevels {
			if isRootOrHome(dir, homes) || !yield(dir) {
				return
			}
			dir = filepath.Dir(dir)
		}
	}
}

// stops reports whether dir is a root or the home directory of any user.
func isRootOrHome(dir string, homes []string) bool {
	parent := filepath.Dir(dir)
	return parent == dir || holdsHomes(parent) || slices.ContainsFunc(homes, func(h string) bool { return samePath(h, dir) })
}

// holdsHomes reports whether people's home directories lie in dir. They do in C:\Users on Windows, which WSL mounts, and in
// /var/home where /home is a symbolic link to it.
func holdsHomes(dir string) bool {
	dir = filepath.ToSlash(dir[len(filepath.VolumeName(dir)):])
	mounted, _ := path.Match("/mnt/?/Users", dir)
	return mounted || dir == "/home" || dir == "/var/home" || samePath(dir, "/Users")
}

// below reports whether dir lies somewhere below one of homes.
func below(dir string, homes []string) bool {
	return slices.ContainsFunc(homes, func(h string) bool {
		h = strings.TrimSuffix(h, string(filepath.Separator)) + string(filepath.Separator)
		return len(dir) > len(h) && samePath(dir[:len(h)], h)
	})
}

// samePath reports whether a and b are the same path to systems of this kind.
func samePath(a, b string) bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// foreign are directories that tools fill with other people's code, or with code that they made of the project's. It has marker
// files too, but a server that works there belongs to the project around it. A name that people use for their own directories
// counts only beside one of the files listed with it.
var dependencyDirs = map[string][]string{
	"node_modules": nil, "bower_components": nil, ".npm": nil, ".yarn": nil, ".next": nil, ".nuxt": nil, ".output": nil,
	"site-packages": nil, "dist-packages": nil, ".venv": nil, ".tox": nil, ".nox": nil,
	".cargo": nil, ".bundle": nil,
	"vendor": {"go.mod", "composer.json", "Gemfile"},
	"deps":   {"mix.exs"},
}

// outside returns the directory that holds the outermost foreign one in dir's path, or dir when there is none.
func (s *survey) outside(dir string, homes []string) string {
	out := dir
	for d := range upward(dir, homes) {
		beside, known := dependencyDirs[filepath.Base(d)]
		if !known {
			continue
		}
		parent := filepath.Dir(d)
		if beside == nil || !isRootOrHome(parent, homes) && slices.ContainsFunc(beside, func(file string) bool {
			return s.regular(filepath.Join(parent, file))
		}) {
			out = parent
		}
	}
	return out
}

// marked returns what dir is called as a project, and whether it holds a marker. A marker that cannot be read still
// marks the directory. The name is empty if the marker says none and that of the directory namesNothing.
func (s *survey) marked(dir string) (name string, ok bool) {
	for _, m := range markers {
		file := filepath.Join(dir, m.file)
		if !s.regular(file) {
			continue
		}
		if m.name != nil {
			if text, ok := s.read(file, m.max); ok {
				name = shortName(m.name(text))
			}
		}
		if base := filepath.Base(dir); name == "" && !isGenericName(base) {
			name = shortName(base)
		}
		return name, true
	}
	return "", false
}

// shortName returns the beginning of name that is kept, or nothing if there is nothing in it to see.
func shortName(name string) string {
	if len(name) > maxName {
		end := maxName
		for end > maxName-4 && name[end]&0xC0 == 0x80 { // within a UTF-8 sequence
			end--
		}
		name = name[:end]
	}
	if Printable(name, 0) == "" {
		return ""
	}
	return strings.Clone(name) // it may be a piece of a large file
}

// checkout returns the branch of the git working tree in dir, if it is on one, and whether that tree is a linked one; git is
// its .git: the repository, or a file that names it (gitrepository-layout(5)). Submodules have such a file too, but only a linked
// working tree shares a repository with others.
func (s *survey) checkout(dir string, git fs.FileInfo) (branch string, linked bool) {
	repository := filepath.Join(dir, ".git")
	if !git.IsDir() {
		text, _ := s.read(repository, small)
		if repository = gitDir(dir, text); repository == "" {
			return "", false
		}
		linked = s.regular(filepath.Join(repository, "commondir"))
	}
	head, _ := s.read(filepath.Join(repository, "HEAD"), small)
	return shortName(headBranch(head)), linked
}

// regular reports whether name is a regular file, or a symbolic link to one.
func (s *survey) regular(name string) bool {
	info, err := s.stat(name)
	return err == nil && info.Mode().IsRegular()
}

// read returns the content of a regular file, or false if it has more than max bytes or cannot be read.
func (s *survey) read(name string, max int64) ([]byte, bool) {
	// Only opening it may have effects on what is no regular file, so that is asked before, and again of what was opened.
	if !s.regular(name) {
		return nil, false
	}
	f, err := s.open(name)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > max {
		return nil, false
	}
	var b bytes.Buffer
	b.Grow(int(info.Size()) + bytes.MinRead)
	n, err := b.ReadFrom(io.LimitReader(f, max+1)) // it may have grown
	return b.Bytes(), err == nil && n <= max
}
