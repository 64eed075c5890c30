package port

// Ephemeral returns the first and the last port of this system's ephemeral range for TCP, or false if it is not known.
// The default is 32768–60999 on Linux and mostly RFC 6335's dynamic ports elsewhere.
//
// Linux has a range for each network namespace. Ephemeral reads it at each call (about 20 µs). On macOS it asks sysctl
// at each call. Windows documents neither a system call nor a registry key for the range. So Ephemeral runs netsh once
// there, and misses a change until this program restarts.
func Ephemeral() (first, last uint16, ok bool) {
	text, err := readSetting("ip_local_port_range", 64) // IPv6 uses it too
	if err != nil {
		return 0, 0, false
	}
	return parseRange(text)
}
