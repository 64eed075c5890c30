package port

// limits is described in limits_linux.go. On macOS (since 10.14) only a specific address needs privilege. The kernel
// has that rule and the fixed number in in_pcbbind and in6_pcbbind. The withheld ports are not known.
func limits() (privileged, reserved, withheld Ranges) {
	return Ranges{{1, firstRegistered - 1}}, Ranges{}, nil
}
