package port

// Ephemeral returns the first and the last port of the range from which this system takes a TCP port when a program asks for any, or
// false if the system does not tell. Linux hands out 32768–60999 unless told otherwise, the others mostly RFC 6335's dynamic ports.
//
// On Linux the range is that of the network namespace which this program is in, and is read at each call (about 20 µs). On macOS it
// comes from sysctl, also at each call. Windows tells it through no documented call of the system, and keeps it in no documented
// place of the registry; so netsh is asked once, and a change shows when this program starts again.
func Ephemeral() (first, last uint16, ok bool) {
	text, err := readSetting("ip_local_port_range", 64) // it counts for IPv6 too
	if err != nil {
		return 0, 0, false
	}
	return parseRange(text)
}
