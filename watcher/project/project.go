// Package project finds the project that a directory belongs to, by marker files such as package.json and by git.
package project

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

	"porttray/watcher/owner"
	"porttray/watcher/trusted"
)

const (
	searchTime  = 500 * time.Millisecond // for finding one project
	maxSearches = 4                      // concurrent searches, hanging ones included
	maxLevels   = 40                     // directories searched, from the working directory upward
	maxName     = 128                    // bytes kept of a name
)

// Find returns the project of a process that works in dir, an absolute path. homes are the spellings of this user's
// home directory, as from HomeDirs. The project is the nearest directory from dir upward that holds one of markers. Its
// name comes from that file, or else from the directory. Without a marked directory, dir itself is the project if it
// lies below this user's home. Otherwise there is none. A directory with a generic name (IsGenericName) gives way to
// the next one above. Home directories and file system roots are not searched: a stray package.json or a git repository
// of dot files there says nothing about the directories below.
//
// A dead network file system can block a call for ever, and nothing can cancel it. Find abandons such a call after
// half a second. While four calls hang, Find returns nothing at once.
func Find(ctx context.Context, dir string, homes ...string) Project {
	return disk.project(ctx, dir, homes)
}

// disk is the only survey of the real file systems, because its limit counts for the whole program.
var disk = newSurvey(os.Stat, openFile)

// HomeDirs returns this user's home directory. If it leads through symbolic links, the resolved path comes second,
// because systems report working directories in that form. Some systems keep /home elsewhere.
func HomeDirs() []string {
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

// A survey finds projects in a file system, with at most maxSearches searches at once.
type survey struct {
	stat func(name string) (fs.FileInfo, error) // follows symbolic links
	open func(name string) (fs.File, error)     // does not wait for a FIFO's other end

	*trusted.Guard
}

func newSurvey(stat func(string) (fs.FileInfo, error), open func(string) (fs.File, error)) *survey {
	return &survey{stat, open, trusted.NewGuard(maxSearches)}
}

// openFile opens a file for reading. O_NONBLOCK helps if a FIFO or a leased file has just replaced a regular one.
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
	find := func(ctx context.Context) Project { return s.find(ctx, filepath.Clean(dir), homes) }
	p, _ := trusted.Guarded(ctx, s.Guard, searchTime, find)
	return p
}

// find returns the project of dir, without a time limit.
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
		// The working directory may be deleted, or be inside a container. Then its path means nothing here.
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

// nearestName returns the nearest directory from dir upward without a generic name, or nothing.
func nearestName(dir string, homes []string) (name, root string) {
	for d := range upward(dir, homes) {
		if base := filepath.Base(d); !IsGenericName(base) {
			return ShortName(base), d
		}
	}
	return "", ""
}

// genericDirs are names of directories that builds, deployments and experiments make.
const genericDirs = "build dist out bin obj target debug release releases tmp temp _build publish x64 x86 coverage " +
	"bazel-bin bazel-out zig-out node_modules venv virtualenv env __pycache__"

var versionNumber = regexp.MustCompile(`(?i)^(v?\d+(\.\d+)+` +
	`([-.+_]?(alpha|beta|rc|snapshot|final|release|dev|pre|ga|x|m|a|b)[-.]?\d*)*` +
	`|v\d+|\d{8,}|net(coreapp|standard)?\d\.\d)$`)

// IsGenericName reports whether a directory's name says nothing about the project: it is hidden, a version number, or a
// usual name for build output.
func IsGenericName(base string) bool {
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "cmake-build-") ||
		slices.Contains(strings.Fields(genericDirs), strings.ToLower(base)) || versionNumber.MatchString(base)
}

// outsideHidden returns the parent of the outermost hidden directory in dir's path, or dir if there is none. Tools keep
// their own files in hidden directories.
func outsideHidden(dir string, homes []string) string {
	out := dir
	for d := range upward(dir, homes) {
		if strings.HasPrefix(filepath.Base(d), ".") {
			out = filepath.Dir(d)
		}
	}
	return out
}

// upward yields dir and the directories above it, the nearest first. It ends below a root or a home directory.
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

// isRootOrHome reports whether dir is a root or any user's home directory.
func isRootOrHome(dir string, homes []string) bool {
	parent := filepath.Dir(dir)
	isDir := func(home string) bool { return samePath(home, dir) }
	return parent == dir || holdsHomes(parent) || slices.ContainsFunc(homes, isDir)
}

// holdsHomes reports whether dir holds people's home directories. Examples are C:\Users on Windows, also as mounted by
// WSL, and /var/home, the target of /home on some systems.
func holdsHomes(dir string) bool {
	dir = filepath.ToSlash(dir[len(filepath.VolumeName(dir)):])
	mounted, _ := path.Match("/mnt/?/Users", dir)
	return mounted || dir == "/home" || dir == "/var/home" || samePath(dir, "/Users")
}

// below reports whether dir lies below one of homes.
func below(dir string, homes []string) bool {
	return slices.ContainsFunc(homes, func(h string) bool {
		h = strings.TrimSuffix(h, string(filepath.Separator)) + string(filepath.Separator)
		return len(dir) > len(h) && samePath(dir[:len(h)], h)
	})
}

// samePath reports whether a and b are the same path on this system.
func samePath(a, b string) bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// dependencyDirs are directories that tools fill with other people's code, or with code made from the project's. They
// have marker files too, but a server there belongs to the project around it. Some names are also used for people's own
// directories. These count only beside one of the listed files.
var dependencyDirs = map[string][]string{
	"node_modules": nil, "bower_components": nil, ".npm": nil, ".yarn": nil, ".next": nil, ".nuxt": nil, ".output": nil,
	"site-packages": nil, "dist-packages": nil, ".venv": nil, ".tox": nil, ".nox": nil,
	".cargo": nil, ".bundle": nil,
	"vendor": {"go.mod", "composer.json", "Gemfile"},
	"deps":   {"mix.exs"},
}

// outside returns the parent of the outermost dependency directory in dir's path, or dir if there is none.
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

// marked returns dir's name as a project, and whether dir holds a marker. An unreadable marker still counts. The name
// is empty if the marker has none and the directory's name is generic.
func (s *survey) marked(dir string) (name string, ok bool) {
	for _, m := range markers {
		file := filepath.Join(dir, m.file)
		if !s.regular(file) {
			continue
		}
		if m.name != nil {
			if text, ok := s.read(file, m.max); ok {
				name = ShortName(m.name(text))
			}
		}
		if base := filepath.Base(dir); name == "" && !IsGenericName(base) {
			name = ShortName(base)
		}
		return name, true
	}
	return "", false
}

// ShortName returns the start of name, up to maxName bytes. It returns nothing if name has nothing visible.
func ShortName(name string) string {
	if len(name) > maxName {
		end := maxName
		for end > maxName-4 && name[end]&0xC0 == 0x80 { // inside a UTF-8 sequence
			end--
		}
		name = name[:end]
	}
	if owner.Printable(name, 0) == "" {
		return ""
	}
	return strings.Clone(name) // it may be part of a large file
}

// checkout returns the branch of the git working tree in dir, if any, and whether the tree is a linked one. git is its
// .git: the repository, or a file that names it (gitrepository-layout(5)). Submodules have such a file too, but only
// linked working trees share a repository.
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
	return ShortName(headBranch(head)), linked
}

// regular reports whether name is a regular file, or a symbolic link to one.
func (s *survey) regular(name string) bool {
	info, err := s.stat(name)
	return err == nil && info.Mode().IsRegular()
}

// read returns the content of a regular file. It returns false if the file is larger than max bytes or unreadable.
func (s *survey) read(name string, max int64) ([]byte, bool) {
	// Opening another kind of file may have side effects. So the kind is checked before and after opening.
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

// A Project is a directory tree with a name. A process works in it.
type Project struct {
	Name     string
	Dir      string // its root
	Branch   string // of the git working tree, if any
	Worktree bool   // the working tree is a linked one (git-worktree(1))
}
