package history

import (
	"io/fs"
	"os"
)

// open is described in user_unix.go.
func open(file string) (*os.File, error) { return os.Open(file) }

// foreign is described in user_unix.go.
func foreign(fs.FileInfo) bool { return false }
