package trusted

import (
	"io/fs"
	"os"
)

func open(file string) (*os.File, error) { return os.Open(file) }

// foreign is described in user_unix.go.
func foreign(fs.FileInfo) bool { return false }
