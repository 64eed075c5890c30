package owner

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v3/process"
)

// forwarding is the reason not to signal a forwarder.
const forwarding = "forwards for a container or VM"

// Forwards reports whether the process is a forwarder: one that holds listeners on behalf of a container or VM.
func (p Process) Forwards() bool { return p.Refusal == forwarding }

// ForPodman reports whether the process is a forwarder of Podman.
func (p Process) ForPodman() bool {
	return p.Forwards() && slices.ContainsFunc([]string{"rootlessport", "conmon", "pasta", "passt"}, func(name string) bool {
		return strings.HasPrefix(p.Name, name)
	})
}

// refusal returns why p, which is this user's or not, must not be signalled, or nothing if it may be. The order is from the
// gravest reason down. The error tells that it cannot be known.
func refusal(ctx context.Context, p Process, ps *process.Process, mine bool) (string, error) {
	above, err := isAncestor(p)
	if err != nil {
		return "", err
	}
	return refusalOf(ctx, p, ps, mine, above), nil
}

func refusalOf(ctx context.Context, p Process, ps *process.Process, mine, above bool) string {
	switch {
	case p.PID <= 1, managers[p.Name], runtime.GOOS == "windows" && p.PID == 4:
		return "part of the system"
	case !ownView():
		return "its PID in this container is unknown"
	case int(p.PID) == os.Getpid():
		return "porttray itself"
	case above:
		return "porttray runs in it"
	case forwards(p.Name) || forwards(filepath.Base(p.Exe)):
		return forwarding
	case isPM2(p.Name):
		return "runs several apps; end one of them by pm2"
	}
	// Lima and Colima forward through ssh processes of their own; an ssh that somebody else started is theirs to stop.
	if p.Name == "ssh" {
		if args, err := ps.CmdlineSliceWithContext(ctx); err != nil || limaArgs(args) {
			return forwarding
		}
	}
	if !mine {
		return "another user's process"
	}
	return ""
}

// Self returns the PID by which processes that are looked at see this one: in a container with the /proc of another, that is not the
// one by which the system knows it here (pid_namespaces(7)). It is 0 where this process cannot be seen.
func Self() int32 {
	if runtime.GOOS != "linux" {
		return int32(os.Getpid())
	}
	self, _ := os.Readlink("/proc/self") // empty without /proc
	pid, _ := strconv.ParseInt(self, 10, 32)
	return int32(pid)
}

// Porttray reports whether the process is a porttray, by its name.
func (p Process) Porttray() bool { return p.Name == "porttray" }

// ownView reports whether processes are seen by the PIDs that system calls take. Those of another PID namespace are other processes'
// in this one.
func ownView() bool { return int(Self()) == os.Getpid() }

// isAncestor reports whether p is a parent of this process, at any distance. Where parents cannot be read for OutOfFiles, that is the
// error.
func isAncestor(p Process) (bool, error) {
	child, err := readVitals(int32(os.Getpid()))
	if err == nil && p.Start > child.start {
		return false, nil // most are younger, and then the parents need not be looked at
	}
	for err == nil && child.parent > 0 {
		var parent vitals
		if parent, err = readVitals(child.parent); err != nil || parent.start > child.start {
			break // see Parent
		}
		if p.PID == child.parent && p.Start == parent.start {
			return true, nil
		}
		child = parent
	}
	if OutOfFiles(err) {
		return false, err
	}
	return false, nil
}

// forwarders hold listeners on behalf of a container or VM: signalling one breaks its engine and not the server that the
// person means. A name that ends in an asterisk stands for all names that begin so.
var forwarders = []string{
	"docker-proxy", "rootlesskit*", "rootlessport*", "com.docker.*", "vpnkit*", "docker desktop*", "dockerd",
	"slirp4netns", "pasta*", "passt*", "gvproxy*", "conmon*", "podman",
	"orbstack*", "colima", "limactl", "lima-*", "wslrelay", "wslhost", "wslservice", "vmcompute",
}

// forwards reports whether a program of this name is a forwarder. Linux cuts names off after 15 bytes.
func forwards(name string) bool {
	name = strings.ToLower(strings.TrimSuffix(name, ".exe"))
	return name != "" && slices.ContainsFunc(forwarders, func(f string) bool {
		if prefix, ok := strings.CutSuffix(f, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return name == f
	})
}

// limaArgs reports whether an ssh command line works on files in the directories of Lima or Colima.
func limaArgs(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		elements := strings.FieldsFunc(arg, func(r rune) bool { return r == '/' || r == '"' || r == '=' || r == '\'' })
		return slices.ContainsFunc(elements, func(e string) bool { return e == ".lima" || e == "_lima" || e == ".colima" })
	})
}

// runsAs returns who the process runs as, and whether that is the user of this program. The error tells that it cannot be read.
func runsAs(ctx context.Context, ps *process.Process) (who string, mine bool, err error) {
	if runtime.GOOS == "windows" {
		me, err := user.Current()
		name, err2 := ps.UsernameWithContext(ctx)
		return name, err == nil && err2 == nil && strings.EqualFold(name, me.Username), errors.Join(err, err2)
	}
	uids, err := ps.UidsWithContext(ctx) // real, effective, saved, file system; macOS gives only one
	if err != nil {
		return "", false, err
	}
	if len(uids) == 0 {
		return "", false, errors.New("no user id")
	}
	uid := int(uids[min(1, len(uids)-1)])
	return strconv.Itoa(uid), uid == os.Geteuid(), nil
}

// UserName returns the name of the user that Process.User stands for, or what stands for it where there is no name. On a machine
// that asks a directory service for its users that can take seconds.
func UserName(who string) string {
	if runtime.GOOS == "windows" || who == "" {
		return who
	}
	if u, err := user.LookupId(who); err == nil {
		return u.Username
	}
	return who
}
