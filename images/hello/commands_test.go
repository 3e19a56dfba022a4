package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// printed returns what a command wrote to standard output.
func printed(t *testing.T, run func(context.Context, []string) error, args ...string) (string, error) {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = writer
	failed := run(t.Context(), args)
	os.Stdout = stdout
	writer.Close()
	output, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(output), failed
}

func testServer(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// closedPort returns an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestChoose(t *testing.T) {
	for _, args := range [][]string{nil, {"--port", "1"}, {"serve", "x"}} {
		_, left := choose(args)
		if want := slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "serve" }); !slices.Equal(left, want) {
			t.Errorf("%v leaves %v", args, left)
		}
	}
	run, _ := choose([]string{"dance"})
	if err := run(t.Context(), nil); !errors.As(err, new(usageError)) {
		t.Errorf("got %v", err)
	}
	run, _ = choose([]string{"--help"})
	if out, err := printed(t, run); err != nil || !strings.Contains(out, "countdown") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestFlagsFromEnvironment(t *testing.T) {
	t.Setenv("HELLO_PORT", "tcp://10.96.0.7:8000") // what a Service named hello puts into every Pod
	t.Setenv("PORT", "9000")
	t.Setenv("HELLO_STARTUP_DELAY", "3s")
	flags := newFlags("test")
	port := flags.Int("port", 1, "")
	delay := flags.Duration("startup-delay", 0, "")
	if err := parse(flags, []string{"--startup-delay=5s"}, 0, 0); err != nil {
		t.Fatal(err)
	}
	if *port != 9000 || *delay != 5*time.Second {
		t.Errorf("got %d, %s", *port, *delay)
	}
	t.Setenv("PORT", "many")
	if err := parse(flags, nil, 0, 0); !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), `PORT="many"`) {
		t.Errorf("got %v", err)
	}
}

func TestUnexpectedArguments(t *testing.T) {
	for _, err := range []error{
		countdown(t.Context(), []string{"ten"}), countdown(t.Context(), []string{"--to", "1"}),
		fetch(t.Context(), nil), wait(t.Context(), nil), runLoop(t.Context(), []string{"--rate", "0"}),
		serveCache(t.Context(), []string{"--upstream", "web"}), wget(t.Context(), []string{"-T", "x", "web"}),
	} {
		if !errors.As(err, new(usageError)) {
			t.Errorf("got %v", err)
		}
	}
}

func TestCountdown(t *testing.T) {
	if out, err := printed(t, countdown, "--from", "3", "--every", "1ms"); err != nil || out != "3\n2\n1\ndone\n" {
		t.Errorf("got %q, %v", out, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	run := func(context.Context, []string) error { return countdown(stopped, nil) }
	if out, err := printed(t, run); err == nil || out != "30\n" {
		t.Errorf("a stopped countdown printed %q and succeeded", out)
	}
}

func TestLogAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	synctest.Test(t, func(t *testing.T) {
		for range 2 {
			ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
			if err := writeLog(ctx, []string{"--file", path, "--every", "2s"}); err != nil {
				t.Fatal(err)
			}
			stop()
		}
	})
	content, err := os.ReadFile(path)
	if err != nil || strings.Count("\n"+string(content), "\n1 ") != 2 || strings.Count(string(content), "\n2 ") != 2 {
		t.Errorf("got %q, %v", content, err)
	}
}

func TestWait(t *testing.T) {
	tries := 0
	url := testServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if tries++; tries < 3 {
			text(w, 503, "starting")
		}
	})
	out, err := printed(t, wait, "--url", url, "--every", "1ms")
	if err != nil || tries != 3 || strings.Count(out, "waiting for") != 1 || !strings.Contains(out, "503") {
		t.Errorf("%d tries, %q, %v", tries, out, err)
	}
	if _, err := printed(t, wait, "--tcp", strings.TrimPrefix(url, "http://")); err != nil {
		t.Error(err)
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := printed(t, wait, "--tcp", closedPort(t), "--every", "2s", "--timeout", "5s")
		if err == nil || !strings.HasSuffix(err.Error(), " within 5.0 s: connection refused") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWaitNamesTheCauseNotItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
		defer stop()
		tries := 0
		attempt := func(ctx context.Context) string {
			if tries++; tries == 1 {
				return "connection refused"
			}
			<-ctx.Done()
			return "timeout"
		}
		if err := waitFor(ctx, "web:80", attempt, time.Second); err == nil || !strings.HasSuffix(err.Error(), "refused") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFetch(t *testing.T) {
	url := testServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Test", "yes")
		w.WriteHeader(418)
		fmt.Fprintf(w, "%s %s %s %s %q", r.Method, r.Host, r.Header.Get("Authorization"), r.Header.Get("Color"), body)
	})
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "abc\n")
	out, err := printed(t, fetch, "--include", "--header", "Host: echo.example", "--header", "Color: blue",
		"--data", "x=1", "--token-file", token, strings.TrimPrefix(url, "http://"))
	if err != nil || !strings.Contains(out, "418 I'm a teapot\n") || !strings.Contains(out, "\nX-Test: yes\n") ||
		!strings.HasSuffix(out, `POST echo.example Bearer abc blue "x=1"`) {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := printed(t, fetch, "--fail", url); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("got %v", err)
	}
	if _, err := printed(t, fetch, closedPort(t)); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
}

func TestFetchChecksCertificates(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { text(w, 200, "ok") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	if _, err := printed(t, fetch, server.URL); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
	if out, err := printed(t, fetch, "--insecure", server.URL); err != nil || out != "ok\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestWget(t *testing.T) {
	url := testServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(500)
			return
		}
		text(w, 200, "page")
	})
	if out, err := printed(t, wget, "-qO-", "-T2", url); err != nil || out != "page\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := printed(t, wget, "-q", "-O", "-", url+"/bad"); err == nil {
		t.Error("an error page is no success")
	}
	t.Chdir(t.TempDir())
	if _, err := printed(t, wget, "-q", url+"/dir/file.txt?x=1"); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile("file.txt"); err != nil || string(content) != "page\n" {
		t.Errorf("got %q, %v", content, err)
	}
	if out, err := printed(t, wget, "--spider", "-T", "0.5", url); err != nil || out != "" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestFileName(t *testing.T) {
	for url, want := range map[string]string{
		"http://web": "index.html", "http://web/": "index.html", "http://web/a/": "index.html", "http://web/a/b?c=d/e": "b",
	} {
		if got := fileName(url); got != want {
			t.Errorf("%s: %s", url, got)
		}
	}
}

func TestEnv(t *testing.T) {
	t.Setenv("APP_COLOR", "blue")
	if out, err := printed(t, printEnv, "APP_COLOR"); err != nil || out != "blue\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if out, err := printed(t, printEnv); err != nil || !strings.Contains(out, "APP_COLOR=blue\n") {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := printed(t, printEnv, "APP_UNKNOWN"); err == nil {
		t.Error("an unset variable is no success")
	}
}

func TestResolve(t *testing.T) {
	if out, err := printed(t, resolve, "127.0.0.1"); err != nil || out != "127.0.0.1\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestLoopCountsByVersionAndStatus(t *testing.T) {
	answers := 0
	url := testServer(t, func(w http.ResponseWriter, r *http.Request) {
		if answers++; answers > 2 {
			w.Header().Set("X-Hello-Version", "1.1.1")
			text(w, 500, "bug")
			return
		}
		w.Header().Set("X-Hello-Version", "1.0.0")
		if !r.Close {
			t.Error("the connection would be used again")
		}
	})
	l := newLoop(url, time.Second)
	for range 3 {
		l.request(t.Context())
	}
	if got := l.current.Load().String(); got != "requests 3, failed 1, 1.0.0/200 2, 1.1.1/500 1" {
		t.Errorf("got %s", got)
	}
	var shown totals
	if err := json.Unmarshal(ask(l.handler(), "GET", "/totals").Body.Bytes(), &shown); err != nil {
		t.Fatal(err)
	}
	if shown.Requests != 3 || shown.Versions["1.0.0"]["200"] != 2 || shown.Failures["status 500"] != 1 {
		t.Errorf("got %+v", shown.Versions)
	}
	expect(t, ask(l.handler(), "POST", "/reset"), 200, "reset")
	if got := l.current.Load().String(); got != "requests 0, failed 0" {
		t.Errorf("after reset %s", got)
	}
}

func TestLoopNamesFailures(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	slow := testServer(t, func(http.ResponseWriter, *http.Request) { <-block })
	broken := testServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.Write([]byte("half"))
	})
	for _, c := range []struct {
		url, want string
		timeout   time.Duration
	}{
		{slow, "timeout", 50 * time.Millisecond},
		{broken, "connection closed", time.Minute},
		{"http://" + closedPort(t), "connection refused", time.Minute},
	} {
		l := newLoop(c.url, c.timeout)
		l.request(t.Context())
		if sums := l.current.Load(); sums.Failures[c.want] != 1 || sums.Failed != 1 {
			t.Errorf("%s: got %v, expected %s", c.url, sums.Failures, c.want)
		}
	}
}

func TestLoopKeepsItsRateWhenAnswersAreSlow(t *testing.T) {
	block := make(chan struct{})
	arrived := make(chan struct{}, 100)
	url := testServer(t, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-block })
	defer close(block)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go newLoop(url, 5*time.Second).run(ctx, 200)
	for range 5 {
		select {
		case <-arrived:
		case <-time.After(5 * time.Second):
			t.Fatal("a slow answer holds up the next request")
		}
	}
}

func TestHelpOfEveryCommand(t *testing.T) {
	for _, c := range commands() {
		if c.name == "version" {
			continue
		}
		out, err := printed(t, c.run, "--help")
		if err == nil || !strings.Contains(out, "usage: hello "+c.name) {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
	}
	var empty bytes.Buffer
	if err := (call{url: "http://" + closedPort(t), timeout: time.Second}).do(t.Context(), &empty); err == nil {
		t.Error("no answer is no success")
	}
}
