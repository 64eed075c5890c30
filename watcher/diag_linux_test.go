package watcher

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// message returns a netlink message of dump number 7, padded as the kernel pads it.
func message(kind, flags uint16, body []byte) []byte {
	ne := binary.NativeEndian
	m := ne.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	m = ne.AppendUint16(m, kind)
	m = ne.AppendUint16(m, flags)
	m = ne.AppendUint32(m, 7)
	m = ne.AppendUint32(m, 4711)
	m = append(m, body...)
	return append(m, make([]byte, align4(len(m))-len(m))...)
}

// diagSocket returns a socket as the kernel sends it, followed by attributes.
func diagSocket(r row, attributes ...[]byte) []byte {
	ne := binary.NativeEndian
	b := make([]byte, inetDiagMsg)
	b[0], b[1] = unix.AF_INET6, tcpListen
	if r.addr.Is4() {
		b[0] = unix.AF_INET
	}
	binary.BigEndian.PutUint16(b[4:], r.port)
	copy(b[8:], r.addr.AsSlice())
	ne.PutUint32(b[44:], uint32(r.cookie))
	ne.PutUint32(b[48:], uint32(r.cookie>>32))
	ne.PutUint32(b[64:], r.uid)
	ne.PutUint32(b[68:], r.inode)
	return append(b, slices.Concat(attributes...)...)
}

func attribute(kind uint16, value []byte) []byte {
	ne := binary.NativeEndian
	a := ne.AppendUint16(nil, uint16(4+len(value)))
	a = append(ne.AppendUint16(a, kind), value...)
	return append(a, make([]byte, align4(len(a))-len(a))...)
}

func TestParseDiag(t *testing.T) {
	four := row{addr: netip.MustParseAddr("127.0.0.1"), port: 80, uid: 1000, inode: 1<<32 - 1, cookie: 1<<40 + 5}
	six := row{addr: netip.MustParseAddr("::1"), port: 65535, inode: 12}
	grouped, portless := four, four
	grouped.cgroup = 1<<33 + 1
	portless.port = 0
	mapped := diagSocket(row{addr: netip.MustParseAddr("::ffff:127.0.0.1"), port: 80, uid: 1000, inode: four.inode,
		cookie: four.cookie})
	connected := diagSocket(four)
	connected[1] = 1
	appletalk := diagSocket(four)
	appletalk[0] = unix.AF_APPLETALK

	ne := binary.NativeEndian
	number := func(n int32) []byte { return ne.AppendUint32(nil, uint32(n)) }
	cgroup := attribute(inetDiagCgroup, ne.AppendUint64(nil, grouped.cgroup))
	other := attribute(8, []byte{1})
	socket := func(b []byte) []byte { return message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI, b) }
	done := message(unix.NLMSG_DONE, unix.NLM_F_MULTI, number(0))
	interrupted := message(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, diagSocket(four))
	foreign := func(m []byte) []byte {
		m = slices.Clone(m)
		ne.PutUint32(m[8:], 6)
		return m
	}
	claims := func(size uint32, m []byte) []byte {
		m = slices.Clone(m)
		ne.PutUint32(m, size)
		return m
	}

	tests := []struct {
		name string
		part []byte
		want []row
		done bool
		err  error
	}{
		{name: "nothing"},
		{name: "IPv4", part: socket(diagSocket(four)), want: []row{four}},
		{name: "IPv6", part: socket(diagSocket(six)), want: []row{six}},
		{name: "IPv4 in IPv6", part: socket(mapped), want: []row{four}},
		{name: "cgroup", part: socket(diagSocket(four, cgroup)), want: []row{grouped}},
		{name: "cgroup among other attributes", part: socket(diagSocket(four, other, cgroup, other)),
			want: []row{grouped}},
		{name: "short cgroup", part: socket(diagSocket(four, attribute(inetDiagCgroup, number(5)))), want: []row{four}},
		{name: "several",
			part: slices.Concat(socket(diagSocket(four, cgroup)), socket(diagSocket(six, other)), socket(mapped)),
			want: []row{grouped, six, four}},
		{name: "not listening", part: slices.Concat(socket(connected), socket(diagSocket(six))), want: []row{six}},
		{name: "without a port", part: slices.Concat(socket(diagSocket(portless)), socket(diagSocket(six))),
			want: []row{six}},
		{name: "other message", part: slices.Concat(message(unix.NLMSG_NOOP, 0, nil), socket(diagSocket(six))),
			want: []row{six}},

		{name: "done", part: done, done: true},
		{name: "done after sockets", part: slices.Concat(socket(diagSocket(four)), done), want: []row{four},
			done: true},
		{name: "done before sockets", part: slices.Concat(done, socket(diagSocket(four))), done: true},
		{name: "acknowledged", part: message(unix.NLMSG_ERROR, 0, append(number(0), make([]byte, 16)...)),
			err: unix.EOPNOTSUPP},
		{name: "done with an error",
			part: slices.Concat(socket(diagSocket(four)),
				message(unix.NLMSG_DONE, unix.NLM_F_MULTI, number(-int32(unix.ENOBUFS)))), err: unix.ENOBUFS},
		{name: "error", part: message(unix.NLMSG_ERROR, 0, append(number(-int32(unix.ENOENT)), make([]byte, 16)...)),
			err: unix.ENOENT},
		{name: "interrupted", part: slices.Concat(socket(diagSocket(six)), interrupted), err: unix.EINTR},
		{name: "interrupted at the end",
			part: message(unix.NLMSG_DONE, unix.NLM_F_MULTI|unix.NLM_F_DUMP_INTR, number(0)), err: unix.EINTR},

		{name: "foreign socket", part: slices.Concat(foreign(socket(diagSocket(four))), socket(diagSocket(six))),
			want: []row{six}},
		{name: "foreign end", part: slices.Concat(foreign(done), socket(diagSocket(six))), want: []row{six}},
		{name: "foreign interruption", part: slices.Concat(foreign(interrupted), done), done: true},
		{name: "foreign error", part: slices.Concat(foreign(message(unix.NLMSG_ERROR, 0, number(-1))), done),
			done: true},

		{name: "cut off in the header", part: socket(diagSocket(four))[:15], err: errCutOff},
		{name: "cut off in the socket", part: socket(diagSocket(four))[:80], err: errCutOff},
		{name: "cut off in an attribute", part: socket(diagSocket(four, cgroup))[:92], err: errCutOff},
		{name: "cut off in the second message", part: slices.Concat(socket(diagSocket(four)), done[:17]),
			err: errCutOff},
		{name: "short socket", part: socket(diagSocket(four)[:71]), err: errCutOff},
		{name: "attribute that ends beyond the message", part: socket(diagSocket(four, cgroup[:8])), err: errCutOff},
		{name: "attribute without a length", part: socket(diagSocket(four, make([]byte, 8))), err: errCutOff},
		{name: "no length", part: claims(0, done), err: errCutOff},
		{name: "too small a length", part: claims(15, done), err: errCutOff},
		{name: "too large a length", part: claims(1<<31, done), err: errCutOff},
		{name: "end without a code", part: message(unix.NLMSG_DONE, unix.NLM_F_MULTI, nil), err: errCutOff},
		{name: "error without a code", part: message(unix.NLMSG_ERROR, 0, []byte{1, 2}), err: errCutOff},
		{name: "unknown family", part: socket(appletalk), err: errCutOff},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := []row{six, grouped}
			got, done, err := parseDiag(tt.part, 7, before, parseDiagSocket)
			if !errors.Is(err, tt.err) || (err != nil) != (tt.err != nil) || done != tt.done {
				t.Fatalf("%x: done %v, %v, want %v, %v", tt.part, done, err, tt.done, tt.err)
			}
			if want := append(before, tt.want...); err == nil && !slices.Equal(got, want) {
				t.Errorf("%x: got %+v, want %+v", tt.part, got, want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	// The kernel sends this message if it has no inet_diag.
	enoent := -int32(unix.ENOENT)
	_, _, err := parseDiag(message(unix.NLMSG_ERROR, 0, binary.NativeEndian.AppendUint32(nil, uint32(enoent))), 7, nil,
		parseDiagSocket)
	if !refused(err) {
		t.Errorf("%v does not count as a refusal", err)
	}
	for _, err := range []error{errCutOff, unix.EINTR, unix.ENOBUFS, unix.EAGAIN, unix.EMFILE, unix.EMSGSIZE,
		unix.EBUSY} {
		if refused(err) {
			t.Errorf("%v counts as a refusal", err)
		}
	}
}

// answers returns the parts that the kernel really sends.
func answers(f *testing.F, q question) [][]byte {
	f.Helper()
	d, err := openDiag()
	if err != nil {
		f.Fatal(err)
	}
	defer d.close()
	if err := d.ask(q); err != nil {
		f.Fatal(err)
	}
	var parts [][]byte
	for done := false; !done; {
		n, _, err := unix.Recvfrom(d.fd, d.buf, 0)
		if err != nil {
			f.Fatal(err)
		}
		parts = append(parts, slices.Clone(d.buf[:n]))
		if _, done, err = parseDiag(d.buf[:n], d.seq, nil, parseDiagSocket); err != nil {
			f.Fatal(err)
		}
	}
	return parts
}

func FuzzParseDiag(f *testing.F) {
	needIPv6(f)
	for _, addr := range []string{"127.0.0.1", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"} {
		listenRaw(f, netip.MustParseAddr(addr), 0)
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for _, part := range answers(f, question{family: family, protocol: unix.IPPROTO_TCP, states: 1 << tcpListen}) {
			f.Add(part, uint32(1), len(part)-1)
			f.Add(part, uint32(1), len(part)/2)
			f.Add(part, uint32(2), 0)
		}
	}
	f.Add(message(unix.NLMSG_ERROR, 0, []byte{0xff, 0xff, 0xff, 0x7f}), uint32(7), 16)
	before := []row{{addr: netip.MustParseAddr("127.0.0.1"), port: 80}}
	f.Fuzz(func(t *testing.T, part []byte, seq uint32, cut int) {
		rows, done, err := parseDiag(part, seq, slices.Clone(before), parseDiagSocket)
		if err != nil {
			if rows != nil || done {
				t.Errorf("%x: got %v, %v along with %v", part, rows, done, err)
			}
			return
		}
		if len(rows) < len(before) || rows[0] != before[0] || len(rows)-len(before) > len(part)/inetDiagMsg {
			t.Fatalf("%x: got %d rows, the first of them %+v", part, len(rows), rows[0])
		}
		for _, r := range rows {
			if r.port == 0 || !r.addr.IsValid() || r.addr.Is4In6() || r.key() == (rowKey{}) {
				t.Errorf("%x: got %+v", part, r)
			}
		}
		// A prefix of the part yields a prefix of the sockets, or is recognised as cut off.
		fewer, early, err := parseDiag(part[:min(max(cut, 0), len(part))], seq, slices.Clone(before), parseDiagSocket)
		if err != nil && !errors.Is(err, errCutOff) || err == nil &&
			(len(fewer) > len(rows) || !slices.Equal(fewer, rows[:len(fewer)]) || early && !done) {
			t.Errorf("%x cut at %d: got %+v, %v, %v, want a prefix of %+v, %v", part, cut, fewer, early, err, rows,
				done)
		}
	})
}

// TestDiagParts asks for more sockets than the kernel sends in two parts.
func TestDiagParts(t *testing.T) {
	d, err := openDiag()
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	mine := map[uint32]uint16{}
	for range 600 {
		l := listenTCP(t, "127.0.0.1:0")
		defer l.Close()
		mine[inodeOf(t, l)] = portOf(l)
	}
	for range 3 { // with the same netlink socket
		rows, parted, err := d.list(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !parted {
			t.Errorf("%d sockets came in one part", len(rows))
		}
		seen := map[uint32]uint16{}
		for _, r := range rows {
			if _, ok := mine[r.inode]; ok {
				seen[r.inode] = r.port
			}
		}
		for inode, port := range mine {
			if seen[inode] != port {
				t.Errorf("socket %d has port %d, want %d", inode, seen[inode], port)
			}
		}
	}
}
