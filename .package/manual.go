//go:build ignore

// Manual writes the manual page of porttray to standard output, in mdoc(7), from the command tree:
//
//	go run .package/manual.go VERSION DATE
//
// DATE is the date of the version, such as 2026-01-31. The sections below the commands come from manual.mdoc.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"porttray/watcher/terminal"
)

// rest is the page below the commands.
//
//go:embed manual.mdoc
var rest string

// width is the maximum number of bytes in a source line; mandoc warns about longer lines.
const width = 80

func main() {
	log.SetFlags(0)
	log.SetPrefix("write the manual page: ")
	if len(os.Args) != 3 {
		log.Fatal("want a version and a date")
	}
	day, err := time.Parse(time.DateOnly, os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if _, err := os.Stdout.Write(page(terminal.Command(terminal.Program{}), os.Args[1], day)); err != nil {
		log.Fatal(err)
	}
}

// page returns the whole page.
func page(root *cobra.Command, version string, day time.Time) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, ".\\\" porttray %s\n.Dd %s\n.Dt PORTTRAY 1\n.Os\n", version, day.Format("January 2, 2006"))
	fmt.Fprintf(&out, ".Sh NAME\n.Nm porttray\n.Nd %s\n", escape(strings.ToLower(root.Short[:1])+root.Short[1:]))
	out.WriteString(".Sh SYNOPSIS\n.Nm\n.Nm\n.Ar command\n.Op Fl Fl help\n.Op Ar argument ...\n")
	out.WriteString(".Sh DESCRIPTION\n")
	paragraphs(&out, root.Long)
	out.WriteString(".Sh COMMANDS\n")
	for _, group := range root.Groups() {
		fmt.Fprintf(&out, ".Ss %s\n.Bl -tag -width Ds\n", escape(strings.TrimSuffix(group.Title, ":")))
		for _, c := range root.Commands() {
			if c.GroupID == group.ID {
				command(&out, c)
			}
		}
		out.WriteString(".El\n")
	}
	out.WriteString(rest)
	out.WriteString(".Sh EXAMPLES\n.Bd -literal\n")
	for line := range strings.SplitSeq(root.Example, "\n") {
		fmt.Fprintln(&out, escape(strings.TrimPrefix(line, "  ")))
	}
	out.WriteString(".Ed\n.Sh SEE ALSO\n.Xr lsof 8 ,\n.Xr ss 8\n")
	return out.Bytes()
}

// command adds one command with its flags.
func command(out *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(out, ".It Ic %s", c.Name())
	if _, args, ok := strings.Cut(c.Use, " "); ok {
		fmt.Fprintf(out, " Ar \"%s\"", escape(args))
	}
	out.WriteByte('\n')
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	paragraphs(out, text)

	var flags []*pflag.Flag
	c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			flags = append(flags, f)
		}
	})
	if len(flags) == 0 {
		return
	}
	out.WriteString(".Pp\n.Bl -tag -width Ds -compact\n")
	for _, f := range flags {
		flag(out, f)
	}
	out.WriteString(".El\n")
}

// flag adds one flag, with its default unless that is a zero value.
func flag(out *bytes.Buffer, f *pflag.Flag) {
	value, text := pflag.UnquoteUsage(f)
	out.WriteString(".It ")
	if f.Shorthand != "" {
		fmt.Fprintf(out, "Fl %s , ", f.Shorthand)
	}
	fmt.Fprintf(out, "Fl Fl %s", escape(f.Name))
	if value != "" {
		fmt.Fprintf(out, " Ar %s", escape(value))
	}
	out.WriteByte('\n')
	if !slices.Contains([]string{"", "0", "0s", "false", "[]"}, f.DefValue) {
		text += " (default " + f.DefValue + ")"
	}
	sentences(out, text)
}

// paragraphs adds a text. Empty lines separate its paragraphs.
func paragraphs(out *bytes.Buffer, text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			out.WriteString(".Pp\n")
		}
		sentences(out, paragraph)
	}
}

// sentenceEnd matches the end of a sentence and the start of the next one.
var sentenceEnd = regexp.MustCompile(`([.:]) ([A-Z"])`)

// sentences adds a paragraph. mdoc wants each sentence on its own line. Longer sentences are wrapped at width.
func sentences(out *bytes.Buffer, paragraph string) {
	words := strings.Join(strings.Fields(paragraph), " ")
	for sentence := range strings.SplitSeq(sentenceEnd.ReplaceAllString(words, "$1\n$2"), "\n") {
		line := ""
		for word := range strings.SplitSeq(escape(sentence), " ") {
			if line != "" && len(line)+1+len(word) > width {
				fmt.Fprintln(out, line)
				line = word
				continue
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		fmt.Fprintln(out, line)
	}
}

// escape returns text as mdoc source. Hyphens stay hyphens, for copying into a shell, and no line becomes a request.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
