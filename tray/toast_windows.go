package tray

import "git.sr.ht/~jackmordaunt/go-toast/wintoast"

// toast shows a Windows notification. It leaves out the way through PowerShell that beeep has for when this one fails.
func toast(xml string) error {
	if err := wintoast.SetAppData(wintoast.AppData{AppID: "porttray"}); err != nil {
		return err
	}
	return wintoast.Push(xml)
}
