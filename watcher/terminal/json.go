package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
)

// writeJSON writes v as a JSON document.
func writeJSON(out io.Writer, v any) error {
	var b bytes.Buffer
	enc := newEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	_, err := out.Write(escaped(b.Bytes()))
	return err
}

// jsonLines returns the objects as JSON, one per line.
func jsonLines(objects []object) []byte {
	var b bytes.Buffer
	enc := newEncoder(&b)
	for _, o := range objects {
		_ = enc.Encode(o) // plain data, into memory: it cannot fail
	}
	return escaped(b.Bytes())
}

func newEncoder(out io.Writer) *json.Encoder {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc
}

// escaped replaces characters that are invisible or control a terminal by their JSON escapes, such as \u202e. JSON
// allows them raw in strings. Outside strings, a JSON document has none except line ends.
func escaped(document []byte) []byte {
	hidden := func(r rune) bool { return r >= 0x7f && !unicode.IsPrint(r) }
	if bytes.IndexFunc(document, hidden) < 0 {
		return document
	}
	var b bytes.Buffer
	for _, r := range string(document) {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
