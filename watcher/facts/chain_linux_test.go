package facts

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"porttray/watcher/owner"
)

// TestChain names the ancestors of a process, up to their terminal and no further.
func TestChain(t *testing.T) {
	// startTree sets the first argument of each process, but its program is bash, and the system shows that name.
	p := startTree(t, "npm run dev|", "bash|-c|vite", "node /x/node_modules/.bin/vite")
	chain := Chain(t.Context(), p)
	if len(chain) < 3 || chain[0].Name != "bash" || chain[1].Name != "bash" {
		t.Fatalf("the chain is %+v", chain)
	}
	child := p
	for i, a := range chain {
		v, err := owner.ReadVitals(child.PID)
		if err != nil || v.Parent != a.PID {
			t.Errorf("%d. is process %d, and not the parent of process %d, which is %d (%v)", i, a.PID, child.PID,
				v.Parent, err)
		}
		child.PID = a.PID
	}
	me := slices.IndexFunc(chain, func(a Ancestor) bool { return int(a.PID) == os.Getpid() })
	if me != 2 || !strings.HasPrefix(chain[me].Name, "facts") {
		t.Errorf("the test is at index %d in %+v, want 2", me, chain)
	}
	if p.Start++; Chain(t.Context(), p) != nil {
		t.Error("a process that is not there has ancestors")
	}
}

// TestChainEnds has a program that people start others from. The chain ends there.
func TestChainEnds(t *testing.T) {
	dir := t.TempDir()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	text, err := os.ReadFile(bash)
	if err == nil {
		err = os.WriteFile(dir+"/tmux", text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := startTeller(t, exec.Command(dir+"/tmux", "-c", "bash -c 'echo $$; read -r line; exit'; exit"))
	chain := Chain(t.Context(), p)
	if len(chain) != 1 || chain[0].Name != "tmux" {
		t.Errorf("the chain is %+v, want tmux alone", chain)
	}
}

func TestUserName(t *testing.T) {
	for who, want := range map[string]string{"": "", "0": "root", "4294967290": "4294967290"} {
		if got := owner.UserName(who); got != want {
			t.Errorf("%q is %q, want %q", who, got, want)
		}
	}
	p, err := owner.Read(t.Context(), int32(os.Getpid()))
	if err != nil || p.User == "" || p.Foreign {
		t.Errorf("this process runs as %q, foreign %t (%v)", p.User, p.Foreign, err)
	}
}
