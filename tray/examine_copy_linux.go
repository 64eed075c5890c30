package tray

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"porttray/watcher/doctor"
	"porttray/watcher/owner"
)

// dataControl are the Wayland protocols for clipboard access without a window. The clipboard library supports both.
var dataControl = []string{"ext_data_control_manager_v1", "zwlr_data_control_manager_v1"}

// copyWays describes the access to the clipboard. copyText takes Wayland with data-control, else X.
type copyWays struct {
	wayland     bool  // there is a Wayland display
	dataControl bool  // the Wayland display offers data-control
	waylandErr  error // why the Wayland display does not list its interfaces
	x           bool  // there is an X server, possibly Xwayland
	xErr        error // why the X server accepts no connection
}

// examineCopying returns how addresses get to the clipboard.
func examineCopying(ctx context.Context, getenv func(string) string) doctor.Finding {
	ctx, cancel := context.WithTimeout(ctx, examineLimit)
	defer cancel()
	c := copyWays{wayland: getenv("WAYLAND_DISPLAY") != "", x: getenv("DISPLAY") != ""}
	if c.wayland {
		var offers []string
		offers, c.waylandErr = waylandInterfaces(ctx, waylandSocket(getenv))
		known := func(name string) bool { return slices.Contains(dataControl, name) }
		c.dataControl = slices.ContainsFunc(offers, known)
	}
	if c.x {
		c.xErr = connectX(ctx, getenv("DISPLAY"))
	}
	return c.finding()
}

func (c copyWays) finding() doctor.Finding {
	const kept = "; copied text is lost when porttray ends, unless a clipboard manager keeps it"
	f := doctor.Finding{Topic: "copying"}
	switch {
	case c.dataControl:
		f.Says = "by Wayland (data-control)" + kept
		return f
	case c.x && c.xErr == nil:
		f.Says = "by X" + kept
		if c.wayland {
			f.Says = "by X (Xwayland), because the compositor offers no data-control" + kept
		}
		return f
	}
	f.State = doctor.Lacks
	var why []string
	switch {
	case !c.wayland && !c.x:
		why = append(why, errNoDisplay.Error())
		f.Fix = passOnDisplay
	case c.waylandErr != nil:
		why = append(why, inWords(c.waylandErr))
	case c.wayland:
		why = append(why, "the compositor offers no data-control")
	}
	switch {
	case c.xErr != nil:
		why = append(why, "the X server does not answer: "+inWords(c.xErr))
	case c.wayland && !c.x:
		why = append(why, "there is no X (DISPLAY is not set)")
	}
	f.Says = "nothing can be copied: " + strings.Join(why, ", and ")
	if f.Fix == "" {
		f.Fix = "start porttray in the desktop session"
		if c.wayland && c.waylandErr == nil {
			f.Fix = "start porttray with DISPLAY set to Xwayland; " +
				"a compositor with data-control, such as sway or KDE's, needs no X"
		}
	}
	return f
}

// connectX connects to the local socket of an X server, and closes the connection. It returns nil for a server on
// another computer.
func connectX(ctx context.Context, display string) error {
	host, number, _ := strings.Cut(display, ":")
	number, _, _ = strings.Cut(number, ".")
	if _, err := strconv.ParseUint(number, 10, 16); err != nil {
		return errors.New("DISPLAY is " + strconv.Quote(owner.Printable(display, maxOther)))
	}
	if host != "" && host != "unix" {
		return nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", "/tmp/.X11-unix/X"+number)
	if err != nil {
		conn, err = d.DialContext(ctx, "unix", "@/tmp/.X11-unix/X"+number)
	}
	if err != nil {
		return errors.New("nothing listens for display :" + number)
	}
	conn.Close()
	return nil
}
