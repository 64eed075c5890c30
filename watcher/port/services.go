package port

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxServices, in bytes, is several times the size of IANA's full list. Some systems ship that list.
const maxServices = 4 << 20

// servicesFile returns the path of a system's list of services. Small systems have no such file. root is the Windows
// directory.
func servicesFile(goos, root string) string {
	if goos != "windows" {
		return "/etc/services"
	}
	if root == "" {
		root = `C:\Windows`
	}
	return filepath.Join(root, "System32", "drivers", "etc", "services")
}

// readServices returns the names of the TCP services in a file, or none if it cannot be read.
func readServices(file string) map[uint16]string {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return nil // opening a FIFO would wait for its other end
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxServices))
	if err != nil {
		return nil
	}
	return parseServices(text)
}

// parseServices returns the names of the TCP services in a list with lines "name port/protocol aliases # comment". The
// first line for a port counts, as in getservbyport(3). parseServices skips other lines.
func parseServices(text []byte) map[uint16]string {
	names := make(map[uint16]string)
	for line := range bytes.Lines(text) {
		entry, _, _ := bytes.Cut(line, []byte("#"))
		fields := bytes.Fields(entry)
		if len(fields) < 2 {
			continue
		}
		number, ok := strings.CutSuffix(strings.ToLower(string(fields[1])), "/tcp")
		port, err := strconv.ParseUint(number, 10, 16)
		if _, known := names[uint16(port)]; ok && err == nil && !known {
			names[uint16(port)] = string(fields[0])
		}
	}
	return names
}
