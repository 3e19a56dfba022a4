// Git-server offers bare Git repositories over HTTP, so that a lesson has a place to push to.
//
// It speaks the "smart" protocol of gitprotocol-http(5): the two halves of a conversation are answered by
// `git upload-pack` (clone, fetch) and `git receive-pack` (push). A repository is made when somebody pushes to it for
// the first time. It is our own, small and for teaching: it asks nobody for a name or a password.
package main

import (
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
)

const (
	fetch = "git-upload-pack"
	push  = "git-receive-pack"
)

var (
	request = regexp.MustCompile(`^/([a-z0-9-]+\.git)/(info/refs|` + fetch + `|` + push + `)$`)
	making  sync.Mutex
)

type server struct{ root string }

func main() {
	log.SetFlags(0)
	root := flag.String("root", "/repositories", "directory of the bare repositories")
	address := flag.String("address", ":8080", "where to listen")
	flag.Parse()
	log.Fatal(http.ListenAndServe(*address, server{*root}))
}

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		return
	}
	found := request.FindStringSubmatch(r.URL.Path)
	if found == nil {
		http.NotFound(w, r)
		return
	}
	directory, service := filepath.Join(s.root, found[1]), found[2]
	greeting := service == "info/refs"
	if greeting {
		service = r.URL.Query().Get("service")
	}
	if service != fetch && service != push {
		http.Error(w, "only the smart protocol is spoken here", http.StatusForbidden)
		return
	}
	if err := find(directory, service == push); err != nil {
		log.Printf("%s: %v", r.URL.Path, err)
		http.NotFound(w, r)
		return
	}
	log.Printf("%s %s", service, found[1])
	if err := serve(w, r, service, directory, greeting); err != nil {
		log.Printf("%s %s: %v", service, found[1], err)
	}
}

// find looks for a repository, and makes it where it may.
func find(directory string, create bool) error {
	making.Lock()
	defer making.Unlock()
	_, err := os.Stat(directory)
	if err == nil || !create {
		return err
	}
	return exec.Command("git", "init", "--quiet", "--bare", "--initial-branch=main", "--template=", directory).Run()
}

func serve(w http.ResponseWriter, r *http.Request, service, directory string, greeting bool) error {
	command := exec.Command("git", service[len("git-"):], "--stateless-rpc")
	if greeting {
		command.Args = append(command.Args, "--advertise-refs")
	}
	command.Args = append(command.Args, directory)
	command.Env = append(os.Environ(), "HOME=/tmp", "GIT_PROTOCOL="+r.Header.Get("Git-Protocol"))
	command.Stdout, command.Stderr = w, os.Stderr
	w.Header().Set("Cache-Control", "no-cache")
	if greeting {
		w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
		line := "# service=" + service + "\n"
		fmt.Fprintf(w, "%04x%s0000", len(line)+4, line)
		return command.Run()
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-result")
	command.Stdin = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "this is no gzip", http.StatusBadRequest)
			return err
		}
		command.Stdin = io.Reader(unpacked)
	}
	return command.Run()
}
