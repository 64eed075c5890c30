package terminal

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
)

// Attach prepares the standard streams, and returns the writer for the log. Call it first, because it may replace
// os.Stdout and os.Stderr.
//
// The log goes to standard error. On Windows the program has no console of its own, so that a double click opens none.
// A command attaches to the console of its shell, unless its output is redirected. Without a console, the log and the
// text of a crash go to porttray/porttray.log in the user's configuration directory. The file keeps its newest 128 to
// 256 kB.
func Attach() io.Writer {
	attachConsole()
	if usable(os.Stderr) {
		return os.Stderr
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return io.Discard // there is no place to report it
	}
	l, err := openLog(filepath.Join(dir, "porttray", "porttray.log"))
	if err != nil {
		return io.Discard // there is no place to report it
	}
	os.Stderr = l.file
	return l
}

// maxLog is the maximum size of the log file in bytes. The text of a crash may exceed it.
const maxLog = 256 << 10

// A logFile appends lines to a file. When it is full, it drops the older half.
type logFile struct {
	file *os.File // opened for appending, because other copies of the program may write too
}

// openLog opens or creates a log file, and directs the text of a crash to it.
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

// Write appends a line.
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

// halve keeps only the last lines of a log file, at most half of maxLog.
func halve(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text = text[max(0, len(text)-maxLog/2):]
	text = text[bytes.IndexByte(text, '\n')+1:]
	return os.WriteFile(path, text, 0o600)
}
