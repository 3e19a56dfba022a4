package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The longest file that /config shows, in bytes.
const mostShown = 4096

var secretName = regexp.MustCompile(`(?i)pass|pwd|secret|token|key|credential|private|auth`)

// A configSource says where the app's configuration comes from.
type configSource struct {
	prefix string
	dir    string
}

func (a *app) showConfig(w http.ResponseWriter, r *http.Request) {
	source := a.config
	if query := r.URL.Query(); query.Has("prefix") {
		source.prefix = query.Get("prefix")
	}
	variables, files := source.variables(), source.files()
	send(w, r, http.StatusOK, source.page(variables, files), map[string]any{"environment": variables, "files": files})
}

// variables returns the environment variables that begin with the prefix.
func (c configSource) variables() map[string]string {
	found := map[string]string{}
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, c.prefix) {
			found[name] = masked(name, value)
		}
	}
	return found
}

// files returns the contents of the files below the directory, by path relative to it.
func (c configSource) files() map[string]string {
	found := map[string]string{}
	c.collect("", nil, found)
	return found
}

// collect adds the files below one directory. It follows links to directories, because a folder of a
// mounted Secret or ConfigMap is one, but not those that lead back to a directory above.
func (c configSource) collect(folder string, above []os.FileInfo, found map[string]string) {
	here, err := os.Stat(filepath.Join(c.dir, folder))
	if err != nil || slices.ContainsFunc(above, func(dir os.FileInfo) bool { return os.SameFile(dir, here) }) {
		return
	}
	above = append(slices.Clip(above), here)
	entries, _ := os.ReadDir(filepath.Join(c.dir, folder)) // what cannot be read is not shown
	for _, entry := range entries {
		// Kubernetes keeps the data of a mounted ConfigMap in ..data and links to it.
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		name := filepath.Join(folder, entry.Name())
		path := filepath.Join(c.dir, name)
		switch info, err := os.Stat(path); {
		case err != nil:
		case info.IsDir():
			c.collect(name, above, found)
		case info.Mode().IsRegular():
			found[name] = shown(path, info.Size())
		}
	}
}

func shown(path string, size int64) string {
	if size > mostShown {
		return fmt.Sprintf("(%d bytes)", size)
	}
	content, err := os.ReadFile(path)
	switch {
	case err != nil:
		return fmt.Sprintf("(%v)", err)
	case !utf8.Valid(content):
		return fmt.Sprintf("(%d bytes, not text)", len(content))
	}
	return masked(path, string(content))
}

// masked hides the value of anything whose name looks like that of a secret.
func masked(name, value string) string {
	if secretName.MatchString(name) {
		return fmt.Sprintf("(hidden, %d bytes)", len(value))
	}
	return value
}

func (c configSource) page(variables, files map[string]string) string {
	lines := []string{fmt.Sprintf("environment variables %s*: %d", c.prefix, len(variables))}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		lines = append(lines, fmt.Sprintf("  %s=%s", name, variables[name]))
	}
	lines = append(lines, fmt.Sprintf("files below %s: %d", c.dir, len(files)))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		lines = append(lines, "  "+name)
		for line := range strings.Lines(files[name]) {
			lines = append(lines, "    "+strings.TrimRight(line, "\r\n"))
		}
	}
	return strings.Join(lines, "\n")
}
