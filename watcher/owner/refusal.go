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

// forwarding is the refusal for a forwarder.
const forwarding = "forwards for a container or VM"

// Forwards reports whether the process is a forwarder. It holds listeners for a container or VM.
func (p Process) Forwards() bool { return p.Refusal == forwarding }

// ForPodman reports whether the process is one of Podman's forwarders.
func (p Process) ForPodman() bool {
	isPrefix := func(name string) bool { return strings.HasPrefix(p.Name, name) }
	return p.Forwards() && slices.ContainsFunc([]string{"rootlessport", "conmon", "pasta", "passt"}, isPrefix)
}

// refusal returns why p must not be signalled, or nothing if it may be. mine says whether p is this user's. The gravest
// reason comes first. An error means that the answer is unknown.
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
	case IsPM2(p.Name):
		return "runs several apps; end one of them by pm2"
	}
	// Lima and Colima forward through their own ssh processes. The user may stop any other ssh.
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

// Self returns this process's PID as other processes' PIDs are seen here. It differs from os.Getpid in a container with
// the /proc of another one (pid_namespaces(7)). It is 0 if this process cannot be seen.
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

// ownView reports whether the PIDs seen here are those for system calls. Otherwise a signal would hit other processes.
func ownView() bool { return int(Self()) == os.Getpid() }

// isAncestor reports whether p is an ancestor of this process. Its only error is OutOfFiles.
func isAncestor(p Process) (bool, error) {
	child, err := ReadVitals(int32(os.Getpid()))
	if err == nil && p.Start > child.Start {
		return false, nil // most processes are younger than this one
	}
	for err == nil && child.Parent > 0 {
		var parent Vitals
		if parent, err = ReadVitals(child.Parent); err != nil || parent.Start > child.Start {
			break // see Parent
		}
		if p.PID == child.Parent && p.Start == parent.Start {
			return true, nil
		}
		child = parent
	}
	if OutOfFiles(err) {
		return false, err
	}
	return false, nil
}

// forwarders hold listeners for a container or VM. Signalling one breaks its engine instead of the server. A name with
// an asterisk at the end is a prefix.
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

// limaArgs reports whether an ssh command line uses files in the directories of Lima or Colima.
func limaArgs(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool {
		elements := strings.FieldsFunc(arg, func(r rune) bool { return r == '/' || r == '"' || r == '=' || r == '\'' })
		return slices.ContainsFunc(elements, func(e string) bool { return e == ".lima" || e == "_lima" || e == ".colima" })
	})
}

// runsAs returns the process's user, and whether that is this program's user. An error means that it is unreadable.
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

// UserName returns the user's name for Process.User, or who if there is none. A directory service can take seconds.
func UserName(who string) string {
	if runtime.GOOS == "windows" || who == "" {
		return who
	}
	if u, err := user.LookupId(who); err == nil {
		return u.Username
	}
	return who
}

// IsPM2 reports whether a process of this name or title is PM2's God Daemon. It holds the sockets of all apps in
// cluster mode. Its title is "PM2 v6.0.5: God Daemon (/home/ann/.pm2)" and its name PM2. The command is pm2.
func IsPM2(name string) bool { return name == "PM2" || strings.HasPrefix(name, "PM2 v") }
