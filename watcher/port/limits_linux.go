package port

import (
	"io"
	"os"
)

// limits returns the privileged, the reserved and the withheld ports of a System. On Linux they are the settings of
// this program's network namespace. IPv6 uses them too.
func limits() (privileged, reserved, withheld Ranges) {
	const most = 6 * 65536 / 2 // every other port, with five digits and a comma
	if text, err := readSetting("ip_unprivileged_port_start", 64); err == nil {
		privileged = parseUnprivileged(text)
	}
	if text, err := readSetting("ip_local_reserved_ports", most); err == nil {
		withheld = parseReserved(text)
	}
	return privileged, Ranges{}, withheld
}

// readSetting returns at most limit bytes of an IPv4 setting.
func readSetting(name string, limit int64) ([]byte, error) {
	f, err := os.Open("/proc/sys/net/ipv4/" + name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
