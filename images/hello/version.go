package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
)

// Releases with the bug of the story: the page fails, the health check does not see it.
var buggy = map[string]bool{"1.1.1": true, "2.1.1": true}

// version reads which release this is. All releases share one binary; each image adds a file.
func version() string {
	path := cmp.Or(os.Getenv("HELLO_VERSION_FILE"), "/etc/hello/version")
	text, err := os.ReadFile(path)
	if err != nil {
		return "dev"
	}
	return strings.TrimSpace(string(text))
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

func printVersion(context.Context, []string) error {
	fmt.Println(version())
	return nil
}
