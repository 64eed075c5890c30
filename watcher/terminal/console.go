package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
)

// Attach makes sure that what the program writes is seen, and returns what its log is to be written to: standard error. It is
// called first of all, because it may replace os.Stdout and os.Stderr.
//
// On Windows the program has no console of its own, so that a double click opens none. A command that is typed in one writes there
// all the same, unless its output is redirected. Where there is none either, the log goes to a file, and what a crash says as well:
// porttray.log beside the state file, of which the newest 128 to 256 kB are kept.
func Attach() io.Writer {
	attachConsole()
	if usable(os.Stderr) {
		return os.Stderr
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return io.Discard // there is nobody to tell
	}
	l, err := openLog(filepath.Join(dir, "porttray", "porttray.log"))
	if err != nil {
		return io.Discard // as above
	}
	os.Stderr = l.file
	return l
}

// maxLog is the size in bytes that a log file does not grow beyond by its lines; what a crash says goes past them.
const maxLog = 256 << 10

// A logFile is a file that lines are added to, one at a time. When it is full, the older half is dropped.
type logFile struct {
	file *os.File // writes at the end, wherever that is; other copies of the program may write there too
}

// openLog opens a log file, which is made if need be, and has a crash be written to it.
func openLog(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	if err := debug.SetCrashOutput(file, debug.CrashOptions{}); err != nil {
		file.Close()
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return &logFile{file: file}, nil
}

// Write adds a line.
func (l *logFile) Write(line []byte) (int, error) {
	info, err := l.file.Stat()
	if err == nil && info.Size()+int64(len(line)) > maxLog {
		err = halve(l.file.Name())
	}
	if err != nil {
		return 0, fmt.Errorf("write the log: %w", err)
	}
	return l.file.Write(line)
}

// halve leaves of a log file its last lines, with no more than half of maxLog bytes.
func halve(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text = text[max(0, len(text)-maxLog/2):]
	text = text[bytes.IndexByte(text, '\n')+1:]
	return os.WriteFile(path, text, 0o600)
}
