package settings

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// The keys of the file and of a rule, for error texts.
const (
	topKeys  = "interval, terminal and [[rule]]"
	ruleKeys = "port, process, project, directory, show, notify, label, scheme, path and pin"
)

// A reader reads the text of a file key by key, so that an error can name the line and the column.
type reader struct {
	unstable.Parser
	settings Settings
	lines    []int // of the rules
	inRule   bool
}

// parse reads the text of a file. An error is an *Error without a file.
func parse(text []byte) (Settings, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some Windows editors write a byte order mark
	var whole map[string]any
	if err := toml.Unmarshal(text, &whole); err != nil { // bad TOML, or a duplicate key
		return Settings{}, located(err)
	}
	r := &reader{}
	r.Reset(text)
	for r.NextExpression() {
		if err := r.take(r.Expression()); err != nil {
			return Settings{}, err
		}
	}
	for i, rule := range r.settings.Rules {
		if problem := rule.problem(); problem != "" {
			return Settings{}, &Error{Line: r.lines[i], Column: 1, Problem: problem}
		}
	}
	return r.settings, nil
}

// located converts an error of the decoder, with its line and column.
func located(err error) *Error {
	var wrong *toml.DecodeError
	if !errors.As(err, &wrong) {
		return &Error{Problem: strings.TrimPrefix(err.Error(), "toml: ")}
	}
	line, column := wrong.Position()
	return &Error{Line: line, Column: column, Problem: strings.TrimPrefix(wrong.Error(), "toml: ")}
}

// take reads one expression of the file: a table header, or a key with its value.
func (r *reader) take(e *unstable.Node) error {
	var path []*unstable.Node
	for keys := e.Key(); keys.Next(); {
		path = append(path, keys.Node())
	}
	if len(path) == 0 {
		return nil // a comment
	}
	first := string(path[0].Data)
	switch {
	case e.Kind == unstable.ArrayTable && first == "rule" && len(path) == 1:
		r.inRule = true
		r.settings.Rules = append(r.settings.Rules, Rule{})
		r.lines = append(r.lines, r.Shape(path[0].Raw).Start.Line)
		return nil
	case first == "rule" && !r.inRule:
		return r.problem(path[0], errors.New("rules are written under [[rule]], with two brackets"))
	case e.Kind != unstable.KeyValue, len(path) > 1:
		return r.problem(path[0], unknownKey(string(path[len(path)-1].Data), r.inRule && e.Kind == unstable.KeyValue))
	}
	v := e.Value()
	err := r.set(first, value{v.Kind, string(v.Data)})
	if err == errUnknown {
		return r.problem(path[0], unknownKey(first, r.inRule))
	}
	if err != nil {
		at := v
		if at.Raw.Length == 0 {
			at = path[0]
		}
		return r.problem(at, err)
	}
	return nil
}

func (r *reader) problem(at *unstable.Node, err error) error {
	start := r.Shape(at.Raw).Start
	return &Error{Line: start.Line, Column: start.Column, Problem: err.Error()}
}

func unknownKey(key string, inRule bool) error {
	switch {
	case inRule && (key == "interval" || key == "terminal"):
		return fmt.Errorf("%s is not part of a rule: it stands before the first [[rule]]", key)
	case inRule:
		return fmt.Errorf("there is no %q; a rule has %s", key, ruleKeys)
	}
	return fmt.Errorf("there is no %q; the file has %s", key, topKeys)
}

// A value is the value of a key in the file.
type value struct {
	kind unstable.Kind
	text string
}

// errUnknown means that there is no such key.
var errUnknown = errors.New("no such key")

// set sets a key of the last rule, or of the whole file before the first rule.
func (r *reader) set(key string, v value) error {
	s := &r.settings
	if !r.inRule {
		switch key {
		case "interval":
			return v.read(&s.Interval)
		case "terminal":
			return v.string(key, &s.Terminal)
		}
		return errUnknown
	}
	rule := &s.Rules[len(s.Rules)-1]
	switch key {
	case "port":
		return v.read(&rule.Port)
	case "process":
		return v.pattern(key, &rule.Process)
	case "project":
		return v.pattern(key, &rule.Project)
	case "directory":
		return v.pattern(key, &rule.Directory)
	case "show":
		return v.read(&rule.Show)
	case "notify":
		return v.read(&rule.Notify)
	case "label":
		return v.string(key, &rule.Label)
	case "scheme":
		return v.read(&rule.Scheme)
	case "path":
		return v.read(&rule.Path)
	case "pin":
		if v.kind != unstable.Bool {
			return errors.New("pin is true or false")
		}
		rule.Pin = v.text == "true"
		return nil
	}
	return errUnknown
}

// read passes the value to UnmarshalText: a text, or the digits of a number. It passes another kind, such as a list, as
// an empty text.
func (v value) read(into interface{ UnmarshalText([]byte) error }) error {
	if v.kind != unstable.String && v.kind != unstable.Integer && v.kind != unstable.Bool {
		v.text = ""
	}
	return into.UnmarshalText([]byte(v.text))
}

// pattern reads the value as a pattern. A number is no pattern. An error starts with the key, because a Glob does not
// know it.
func (v value) pattern(key string, into *Glob) error {
	if v.kind != unstable.String || v.text == "" {
		return errors.New(key + " is a pattern between quotation marks")
	}
	if err := into.UnmarshalText([]byte(v.text)); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (v value) string(key string, into *string) error {
	if v.kind != unstable.String || v.text == "" {
		return errors.New(key + " is a text between quotation marks")
	}
	*into = v.text
	return nil
}
