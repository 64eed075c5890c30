package watcher

import (
	"fmt"
	"testing"
)

// systemRole runs the roles that only Linux has.
func systemRole(m *testing.M, role string, args []string) error {
	switch role {
	case "open":
		return roleOpen()
	case "window":
		return roleWindow(args[0])
	case "costume":
		return roleCostume()
	case "puppet":
		return rolePuppet(args)
	case "sandbox":
		return roleSandbox(m)
	case "old kernel":
		return roleOldKernel(m)
	case "stranger":
		return roleStranger(args[0])
	case "network":
		return roleNetwork(args[0])
	case "terminal":
		return roleTerminal(args[0])
	case "traffic":
		return roleTraffic(args[0])
	case "datagrams":
		return roleDatagrams(args[0])
	case "dial":
		return roleDial(args[0], args[1])
	case "world":
		return roleWorld(args)
	case "bomb":
		return roleBomb(args)
	case "many":
		return roleMany(args)
	case "rename":
		return roleRename()
	case "rebind":
		return roleRebind()
	case "handover":
		return roleHandOver(args)
	case "rows":
		return roleRows(args[0])
	}
	return fmt.Errorf("no role %q", role)
}
