//go:build linux

package tray_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"unicode/utf16"
)

// TestWindowsPackage packages the commit for Windows twice and checks the contents.
func TestWindowsPackage(t *testing.T) {
	t.Parallel()
	archive := windowsPackage(t)
	if !bytes.Equal(archive, windowsPackage(t)) {
		t.Error("the two archives differ")
	}
	files := unzip(t, archive)
	for _, name := range []string{"porttray.exe", "LICENSE", "README.md", "licences.txt", "Apache-2.0"} {
		if len(files[name]) == 0 {
			t.Errorf("the archive lacks %s", name)
		}
	}
	exe, err := pe.NewFile(bytes.NewReader(files["porttray.exe"]))
	if err != nil {
		t.Fatal(err)
	}
	if header, ok := exe.OptionalHeader.(*pe.OptionalHeader64); !ok ||
		header.Subsystem != pe.IMAGE_SUBSYSTEM_WINDOWS_GUI {
		t.Errorf("the header is %+v", exe.OptionalHeader)
	}
	section := exe.Section(".rsrc")
	if section == nil {
		t.Fatal("there are no resources")
	}
	resources, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]string{
		"name":     wide("FileDescription\x00\x00porttray\x00"), // the second zero is padding
		"manifest": `level="asInvoker"`,
		"scale":    ">PerMonitorV2<",
		"icon":     "\x89PNG\r\n",
	} {
		if !bytes.Contains(resources, []byte(want)) {
			t.Errorf("the resources have no %s", what)
		}
	}
	if dir, err := os.Getwd(); err != nil || bytes.Contains(files["porttray.exe"], []byte(dir)) {
		t.Errorf("the program holds the path %s (%v)", dir, err)
	}
}

// windowsPackage packages the commit, checks the checksum and returns the archive.
func windowsPackage(t *testing.T) []byte {
	t.Helper()
	tool(t, "git")
	dir := t.TempDir()
	if out, err := exec.Command("git", "rev-parse", "HEAD").CombinedOutput(); err != nil {
		lack(t, fmt.Errorf("git sees no commit here: %s", bytes.TrimSpace(out)))
	}
	if out, err := offline(t, exec.Command("bash", "../.package/windows", dir)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "porttray-*-windows-amd64.zip"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("the archives are %q, %v", paths, err)
	}
	archive, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(paths[0] + ".sha256")
	if want := fmt.Sprintf("%x  %s\n", sha256.Sum256(archive), filepath.Base(paths[0])); string(sum) != want {
		t.Errorf("the checksum is %q, %v, want %q", sum, err, want)
	}
	return archive
}

// unzip returns the files of an archive by their names.
func unzip(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		files[path.Base(f.Name)], err = io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// wide returns text in UTF-16LE, the encoding of Windows.
func wide(text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return string(b)
}
