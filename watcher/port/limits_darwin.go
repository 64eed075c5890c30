package port

// limits is described in limits_linux.go. That only a specific address needs privilege on macOS (since 10.14) is in_pcbbind and
// in6_pcbbind in its kernel, where the number is fixed too. Which ports it withholds is not known.
func limits() (privileged, reserved, withheld Ranges) {
	return Ranges{{1, firstRegistered - 1}}, Ranges{}, nil
}
