package terminal

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"porttray/watcher/explain"
	"porttray/watcher/owner"
)

func explainCommand() *cobra.Command {
	var asJSON, probe bool
	c := &cobra.Command{
		Use:   "explain ADDRESS",
		Short: "Explain one port: who listens, since when, is it safe, what to do",
		Long: `Explains an address and port of this computer: their meaning, who listens, who can reach the server,
whether it answers, whether the port can be bound, and what to do about problems. ADDRESS is a port (62893), an address
and a port (127.0.0.1:62893, localhost:62893, [::1]:62893) or a URL.

porttray connects to the port on this computer and closes the connection at once. With --probe it also sends a TLS
handshake and an HTTP request, and shows the answers. It sends nothing to databases and other servers that are not for a
browser. Exit status 0 means that something listens there, 1 that nothing does.`,
		Args:              exactly(1, "the address"),
		ValidArgsFunction: completePorts,
		RunE: func(c *cobra.Command, args []string) error {
			q, err := explain.Parse(c.Context(), args[0])
			if err != nil {
				return badUsage(args[0], err)
			}
			a, err := explain.Explain(c.Context(), q, probe)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(c.OutOrStdout(), a)
			} else {
				_, err = c.OutOrStdout().Write(explanation(a, styleOf(c.OutOrStdout()), time.Now()))
			}
			if err == nil && !a.Listens {
				return errNo
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().BoolVar(&probe, "probe", false, "talk to the server to find its protocol")
	return c
}

// An explainer writes an explanation: headings at the left, and wrapped text beside them.
type explainer struct {
	bytes.Buffer
	explain.Answer
	style style
	width int
	now   time.Time
	head  string // the heading of the next line
}

const (
	margin   = 10 // columns for the headings
	prose    = 80 // the maximum width of text in columns
	tooSmall = 40 // the minimum width of text in columns
)

// explanation returns the answer as text.
func explanation(a explain.Answer, s style, now time.Time) []byte {
	w := explainer{Answer: a, style: s, width: prose, now: now}
	if s.width > 0 {
		w.width = max(tooSmall, min(s.width, prose))
	}
	w.headline()
	w.address()
	w.port()
	w.listens()
	w.safe()
	w.reach()
	w.binds()
	w.toDo()
	return w.Bytes()
}

// heading sets the heading of the next line.
func (w *explainer) heading(text string) { w.head = text }

// say writes wrapped text beside the headings.
func (w *explainer) say(format string, args ...any) {
	for _, line := range wrap(fmt.Sprintf(format, args...), w.width-margin) {
		w.line(leftToRight(line))
	}
}

// line writes one line beside the headings, without wrapping.
func (w *explainer) line(text string) {
	head := w.style.paint(w.head, bold) + strings.Repeat(" ", margin-len(w.head))
	w.head = ""
	w.WriteString(strings.TrimRight(head+text, " ") + "\n")
}

// headline writes the question, the names of the servers and the trouble.
func (w *explainer) headline() {
	text, how := "nothing listens there", yellow
	if w.Answer.Listens {
		names := make([]string, 0, len(w.Answer.Listeners))
		for _, h := range w.Answer.Listeners {
			if !slices.Contains(names, h.Name) {
				names = append(names, h.Name)
			}
		}
		text, how = strings.Join(names, " and "), green
	}
	if w.Address.Kind == explain.Elsewhere {
		text = "not an address of this computer"
	}
	if w.Trouble != explain.None {
		text, how = text+" ("+string(w.Trouble)+")", red
	}
	for _, line := range wrap(fmt.Sprintf("%s: %s", w.Asked, text), w.width) {
		w.WriteString(w.style.paint(leftToRight(line), how) + "\n")
	}
	w.WriteByte('\n')
}

func (w *explainer) address() {
	w.heading("Address")
	a := w.Address
	const never = "data sent to 127.0.0.0/8 or ::1 never leaves this computer (RFC 1122, RFC 4291)."
	names := explain.JoinAddrs(a.Addresses, " and ")
	is := "is"
	if len(a.Addresses) > 1 {
		is = "are"
	}
	switch a.Kind {
	case explain.Loopback:
		w.say("%s %s loopback: %s", names, is, never)
	case explain.Wildcard:
		w.say("%s %s a wildcard: a server bound to it listens on all addresses of this computer. "+
			"It is not an address for clients.", names, is)
	case explain.Own:
		w.say("%s %s on this computer's interface %s: other machines in its network may reach servers there.",
			names, is, clean(a.Interface))
	default:
		w.say("%s %s not on this computer now. porttray explains only this computer, and does not ask the network.",
			names, is)
	}
	order := map[bool]string{true: ", in this order"}[len(a.Localhost) > 1]
	w.say("localhost means %s here%s.", explain.JoinAddrs(a.Localhost, ", then "), order)
}

func (w *explainer) port() {
	w.heading("Port")
	p := w.Port
	meaning := map[string]string{
		"well-known": "IANA assigns such ports to common services",
		"registered": "IANA records a purpose on request, but any program may use such a port",
		"dynamic":    "such ports are never registered, and any program may use one",
	}[p.Class]
	w.say("%d is a %s port (%d–%d): %s (RFC 6335).", p.Number, p.Class, p.First, p.Last, meaning)
	if p.Service != "" {
		w.say("It is registered for %s; another program may listen here.", clean(p.Service))
	}
	switch {
	case p.EphemeralFirst == 0:
	case p.Ephemeral:
		w.say("This system may assign it to a program that asks for any free port (%d–%d).",
			p.EphemeralFirst, p.EphemeralLast)
	default:
		w.say("This system does not assign it by itself; it assigns %d–%d.", p.EphemeralFirst, p.EphemeralLast)
	}
	if p.Privileged != nil && *p.Privileged {
		w.say("Only root, or a program with that privilege, may listen on it here.")
	}
	if p.Reserved {
		w.say("Windows reserves it in a range of excluded ports.")
	}
}

func (w *explainer) listens() {
	w.heading("Listens")
	if w.Address.Kind == explain.Elsewhere {
		w.say("porttray does not know what listens there. On this computer:")
	}
	for _, h := range w.Answer.Listeners {
		w.holder(h)
	}
	if len(w.Answer.Listeners) == 0 {
		w.say("Nothing.")
		if l := w.Last; l != nil {
			closed := sinceText(l.Closed, w.now)
			w.say("Last seen: %s%s, until %s%s.", clean(l.Name), within(l.Directory), closed, because(l.Reason))
		}
	}
	if n := w.Connections; n > 0 {
		w.say("%s.", count(n, "connection is open", "connections are open"))
	}
	if n := w.Lingering; n != nil && *n > 0 {
		ended := count(*n, "connection has ended and lingers", "connections have ended and linger")
		w.say("%s for about a minute (TIME_WAIT).", ended)
	}
	for _, p := range w.Bound {
		w.say("%s has bound the port, but does not listen.", processText(p))
	}
	for _, p := range w.Outgoing {
		w.say("%s has a connection from it.", processText(p))
	}
	for _, u := range w.UDP {
		w.say("UDP port %d at %s is used by %s; UDP is separate from TCP.", w.Port.Number, u.Address,
			processText(u.Process))
	}
	for _, u := range w.Untold {
		w.say("Unknown: %s.", clean(u))
	}
}

func within(dir string) string {
	if dir == "" {
		return ""
	}
	return " in " + shortDir(dir)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + clean(reason) + ")"
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// holder writes about one listener.
func (w *explainer) holder(h explain.Holder) {
	w.line(w.style.paint(leftToRight(h.Name), bold))
	var facts []string
	if h.Container != "" {
		facts = append(facts, "container "+clean(h.Container))
		if h.Project != "" {
			facts = append(facts, "of the compose project "+clean(h.Project))
		}
	}
	switch {
	case h.PID != 0:
		text := processText(explain.Process{PID: h.PID, Process: h.Process})
		if h.User != "" {
			text += " of " + clean(h.User)
		}
		facts = append(facts, text)
	case h.Container == "" && h.User != "":
		facts = append(facts, "a process of "+clean(h.User)+" that this user cannot see")
	case h.Container == "":
		facts = append(facts, "a process that this user cannot see")
	}
	if !h.Started.IsZero() {
		facts = append(facts, "since "+sinceText(h.Started, w.now))
	}
	if h.Restarts > 0 {
		facts = append(facts, count(h.Restarts, "restart seen", "restarts seen"))
	}
	w.say("%s", strings.Join(facts, ", "))
	if h.Directory != "" {
		w.say("in %s", shortDir(h.Directory))
	}
	w.say("at %s", explain.JoinAddrs(h.Addresses, " and "))
	if h.Role != "" {
		w.say("role of the port: %s", h.Role)
	}
	if len(h.Also) > 0 {
		w.say("It also has %s.", portList(h.Also, h.Further))
	}
	if len(h.Parents) > 0 {
		parents := make([]string, len(h.Parents))
		for i, p := range h.Parents {
			parents[i] = fmt.Sprintf("%s (%d)", dash(clean(p.Process)), p.PID)
		}
		w.say("started by %s", strings.Join(parents, " ← "))
	}
	if h.Manager != "" {
		w.say("managed by %s, which may start it again", clean(h.Manager))
	}
	if q := h.Queue; q != nil && q.Waiting > 0 {
		waiting := count(q.Waiting, "connection waits", "connections wait")
		w.say("%s to be accepted (the queue has room for %d)", waiting, q.Limit)
	}
}

// portList lists the first ports with their roles.
func portList(ports []uint16, known []explain.Further) string {
	const most = 8
	roles := map[uint16]string{}
	for _, f := range known {
		if f.Role != "" {
			roles[f.Port] = " (" + f.Role + ")"
		}
	}
	var texts []string
	for _, p := range ports[:min(len(ports), most)] {
		texts = append(texts, fmt.Sprint(p)+roles[p])
	}
	text := "port " + strings.Join(texts, ", ")
	if len(texts) > 1 {
		text = "ports " + strings.Join(texts, ", ")
	}
	if more := len(ports) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// processText names a process.
func processText(p explain.Process) string {
	switch {
	case p.PID != 0:
		return owner.Numbered(dash(clean(p.Process)), p.PID)
	case p.User != "":
		return "a process of " + clean(p.User)
	}
	return "a process that this user cannot see"
}

func (w *explainer) safe() {
	if len(w.Answer.Listeners) == 0 {
		return
	}
	w.heading("Safe")
	exposed := slices.ContainsFunc(w.Answer.Listeners, func(h explain.Holder) bool { return h.Exposed })
	switch {
	case !exposed:
		w.say("Only this computer can reach it.")
	case len(w.Reachable) == 0:
		w.say("It also listens for other machines, but this computer has no network address now.")
	default:
		w.say("Other machines can reach it, unless a firewall blocks them, at:")
		for _, i := range w.Reachable {
			w.line(leftToRight(fmt.Sprintf("  %s (%s)", netip.AddrPortFrom(i.Address, w.Port.Number), clean(i.Name))))
		}
	}
	if w.Risk != "" {
		article := "A "
		if strings.ContainsAny(w.Risk[:1], "aeiou") {
			article = "An "
		}
		text := article + w.Risk + " is open to the network here. Bind it to 127.0.0.1 unless other machines need it."
		for _, line := range wrap(text, w.width-margin) {
			w.line(w.style.paint(line, red))
		}
	}
}

func (w *explainer) reach() {
	w.heading("Reach")
	for _, c := range w.Connects {
		text := string(c.Result)
		switch {
		case c.Error != "":
			text += " (" + clean(c.Error) + ")"
		case c.Result == explain.Unreachable:
			text += " (this computer has no such address)"
		case c.Result == explain.Accepted && !c.Listens:
			text += " (the system forwards it; no process listens)"
		}
		w.result(c.Address, text)
	}
	p := w.Probe
	if p == nil {
		return
	}
	if t := p.TLS; t != nil {
		kind := "issued by " + clean(t.Issuer)
		if t.SelfSigned {
			kind = "self-signed"
		}
		names, until := clean(strings.Join(t.Names, ", ")), t.Expires.Local().Format("2 Jan 2006")
		w.say("It speaks TLS: a certificate for %s, %s, valid until %s.", names, kind, until)
	}
	switch {
	case p.HTTP != nil:
		text := "It speaks HTTP: " + clean(p.HTTP.Status)
		if p.HTTP.Server != "" {
			text += ", server " + clean(p.HTTP.Server)
		}
		if p.HTTP.Title != "" {
			text += ", title “" + clean(p.HTTP.Title) + "”"
		}
		if p.HTTP.Location != "" {
			text += ", redirects to " + clean(p.HTTP.Location)
		}
		w.say("%s.", text)
	case p.Unasked != "":
		text := "It is probably not a web server, because this port is usual for %s. " +
			"porttray only listened, and sent nothing."
		if w.speaks(p.Unasked) {
			text = "It is not a web server (%s). porttray only listened, and sent nothing."
		}
		w.say(text, clean(p.Unasked))
		if p.Banner != "" {
			w.say("It sends: %s", clean(p.Banner))
		}
	case p.Banner != "":
		w.say("It sends: %s", clean(p.Banner))
	default:
		w.say("It does not answer a connection, a TLS handshake or an HTTP request.")
	}
}

// speaks reports whether a listener with a known process or container speaks the protocol. Otherwise the protocol is
// only guessed from the port.
func (w *explainer) speaks(protocol string) bool {
	return slices.ContainsFunc(w.Answer.Listeners, func(h explain.Holder) bool {
		return h.Speaks == protocol && (h.PID != 0 || h.Container != "")
	})
}

func (w *explainer) binds() {
	w.heading("Bind")
	for _, b := range w.Binds {
		text := b.Result
		if len(b.By) > 0 {
			names := make([]string, len(b.By))
			for i, p := range b.By {
				names[i] = processText(p)
			}
			text += " by " + strings.Join(names, ", ")
		}
		switch {
		case b.Error != "":
			text += " (" + clean(b.Error) + ")"
		case b.Reusable:
			text += " (only a program that sets SO_REUSEADDR can bind it; most servers set it)"
		}
		w.result(b.Address, text)
	}
}

// result writes the result of an attempt at an address.
func (w *explainer) result(addr netip.Addr, text string) {
	const column = 11
	head := addr.String()
	for _, line := range wrap(text, w.width-margin-column) {
		w.line(leftToRight(fmt.Sprintf("%-*s%s", column, head, line)))
		head = ""
	}
}

func (w *explainer) toDo() {
	w.heading("To do")
	for _, a := range w.Advice {
		w.say("%s", clean(a.Says))
		if a.Command != "" {
			w.line("  " + w.style.paint(clean(a.Command), bold))
		}
	}
}
