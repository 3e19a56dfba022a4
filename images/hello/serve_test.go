package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func testApp(t *testing.T, release string) (*app, *bytes.Buffer) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "version")
	if err := os.WriteFile(file, []byte(release+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HELLO_VERSION_FILE", file)
	out := &bytes.Buffer{}
	a := newApp(out)
	a.host = "pod-1"
	return a, out
}

func ask(handler http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func expect(t *testing.T, answer *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if got := strings.TrimSpace(answer.Body.String()); answer.Code != status || got != body {
		t.Errorf("got %d %q, expected %d %q", answer.Code, got, status, body)
	}
}

func TestReleases(t *testing.T) {
	for release, want := range map[string]struct {
		status int
		line   string
	}{
		"1.0.0": {200, "hello 1.0.0 from pod-1"},
		"1.1.0": {200, "hello 1.1.0 from pod-1"},
		"1.1.1": {500, "hello 1.1.1 has a bug, says pod-1"},
		"2.1.0": {200, "hello 2.1.0 from pod-1"},
		"2.1.1": {500, "hello 2.1.1 has a bug, says pod-1"},
	} {
		a, _ := testApp(t, release)
		page := ask(a.handler(), "GET", "/")
		expect(t, page, want.status, want.line)
		if got := page.Header().Get("X-Hello-Version"); got != release {
			t.Errorf("version header %q, expected %q", got, release)
		}
		expect(t, ask(a.handler(), "GET", "/healthz"), 200, "ok")
	}
}

func TestJSONOnRequest(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	var got map[string]string
	answer := ask(a.handler(), "GET", "/", "Accept", "application/json")
	if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["version"] != "1.0.0" || got["host"] != "pod-1" || got["app"] != "hello" {
		t.Errorf("got %v", got)
	}
}

func TestUnknownPath(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	if answer := ask(a.handler(), "GET", "/nothing"); answer.Code != 404 {
		t.Errorf("got %d", answer.Code)
	}
}

func TestHealthCanBeSwitched(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	handler := a.handler()
	expect(t, ask(handler, "GET", "/readyz"), 200, "ready")
	expect(t, ask(handler, "POST", "/readyz?ready=false"), 200, "not ready")
	expect(t, ask(handler, "GET", "/readyz"), 503, "not ready")
	expect(t, ask(handler, "GET", "/healthz"), 200, "ok")
	expect(t, ask(handler, "POST", "/readyz?ready=true"), 200, "ready")
	expect(t, ask(handler, "POST", "/readyz?ready=perhaps"), 400, "expected ?ready=true or ?ready=false")
	expect(t, ask(handler, "POST", "/healthz?healthy=false"), 200, "unhealthy")
	expect(t, ask(handler, "GET", "/healthz"), 503, "unhealthy")
}

func TestStartupDelay(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	a.delay = time.Hour
	for _, path := range []string{"/", "/healthz", "/readyz"} {
		expect(t, ask(a.handler(), "GET", path), 503, "starting")
	}
	a.started = a.started.Add(-2 * time.Hour)
	expect(t, ask(a.handler(), "GET", "/healthz"), 200, "ok")
}

func TestSomethingCountsLookups(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	handler := a.handler()
	expect(t, ask(handler, "GET", "/something/1"), 200, "something 1, look-up 1 on pod-1")
	expect(t, ask(handler, "GET", "/something/1"), 200, "something 1, look-up 2 on pod-1")
	expect(t, ask(handler, "GET", "/something/2"), 200, "something 2, look-up 1 on pod-1")
	expect(t, ask(handler, "GET", "/something/else"), 404, `there is no something "else"`)
}

func TestMetrics(t *testing.T) {
	a, _ := testApp(t, "1.1.1")
	handler := a.handler()
	ask(handler, "GET", "/")
	ask(handler, "GET", "/something/1")
	ask(handler, "GET", "/something/2")
	ask(handler, "GET", "/odd/path")
	page := ask(handler, "GET", "/metrics").Body.String()
	for _, line := range []string{
		`http_requests_total{path="/",code="500",version="1.1.1"} 1`,
		`http_requests_total{path="/something/{n}",code="200",version="1.1.1"} 2`,
		`http_requests_total{path="other",code="404",version="1.1.1"} 1`,
		`http_request_duration_seconds_bucket{path="/",code="500",version="1.1.1",le="+Inf"} 1`,
		`http_requests_in_flight 1`,
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("no line %s in\n%s", line, page)
		}
	}
}

func TestDurationBuckets(t *testing.T) {
	m := newMetrics()
	for _, took := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 6 * time.Millisecond, time.Minute} {
		m.observe("/", 200, took)
	}
	if got := m.routes[route{"/", 200}].counts; got != [len(buckets) + 1]int{2, 1, 0, 0, 0, 0, 1} {
		t.Errorf("got %v", got)
	}
}

func TestConfigPage(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	dir := t.TempDir()
	a.config.dir = dir
	write(t, filepath.Join(dir, "..data", "color"), "blue\n")
	if err := os.Symlink(filepath.Join("..data", "color"), filepath.Join(dir, "color")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "db", "password"), "hunter2")
	write(t, filepath.Join(dir, "picture"), "\xff\xfe")
	t.Setenv("APP_MODE", "lesson")
	t.Setenv("APP_API_TOKEN", "abcdef")
	want := strings.Join([]string{
		"environment variables APP_*: 2",
		"  APP_API_TOKEN=(hidden, 6 bytes)",
		"  APP_MODE=lesson",
		"files below " + dir + ": 3",
		"  color",
		"    blue",
		"  db/password",
		"    (hidden, 7 bytes)",
		"  picture",
		"    (2 bytes, not text)",
	}, "\n")
	expect(t, ask(a.handler(), "GET", "/config"), 200, want)
	answer := ask(a.handler(), "GET", "/config?prefix=APP_API", "Accept", "application/json").Body.String()
	if strings.Contains(answer, "abcdef") || strings.Contains(answer, "hunter2") || strings.Contains(answer, "lesson") {
		t.Errorf("shows too much: %s", answer)
	}
}

func TestConfigFollowsLinkedFolders(t *testing.T) {
	dir := t.TempDir()
	// as the kubelet mounts a projected volume: every first name is a link into ..data, which is one, too
	write(t, filepath.Join(dir, "..2026_11_26", "settings", "login"), "ada")
	write(t, filepath.Join(dir, "..2026_11_26", "secret", "username"), "admin")
	for _, link := range [][2]string{
		{"..2026_11_26", "..data"}, {"..data/settings", "settings"}, {"..data/secret", "secret"},
		{"../../settings", "settings/around"}, {"..data/nothing", "nowhere"},
	} {
		if err := os.Symlink(link[0], filepath.Join(dir, link[1])); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"settings/login": "ada", "secret/username": "(hidden, 5 bytes)"}
	if got := (configSource{dir: dir}).files(); !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if got := (configSource{dir: filepath.Join(dir, "nowhere")}).files(); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	handler := a.handler()
	begin := processTime(t)
	if answer := ask(handler, "GET", "/burn?ms=30"); answer.Code != 200 || processTime(t)-begin < 25*time.Millisecond {
		t.Errorf("burned too little: %s", answer.Body)
	}
	expect(t, ask(handler, "GET", "/hog?mb=3"), 200, "holding 3 MiB on pod-1")
	expect(t, ask(handler, "GET", "/hog?mb=2"), 200, "holding 5 MiB on pod-1")
	expect(t, ask(handler, "GET", "/hog?mb=0"), 200, "holding 0 MiB on pod-1")
	expect(t, ask(handler, "GET", "/slow?seconds=0.01"), 200, "slow answer after 0.01 s from pod-1")
	for _, path := range []string{"/slow?seconds=NaN", "/slow?seconds=-1", "/burn?ms=x", "/hog?mb=99999", "/crash?code=256"} {
		if answer := ask(handler, "GET", path); answer.Code != 400 {
			t.Errorf("%s: got %d, expected 400", path, answer.Code)
		}
	}
}

func TestCrashAnswersFirst(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	code := -1
	a.exit = func(c int) { code = c }
	expect(t, ask(a.handler(), "GET", "/crash?code=3"), 200, "pod-1 ends with exit code 3")
	if code != 3 {
		t.Errorf("exit code %d", code)
	}
}

func TestLogLevels(t *testing.T) {
	for level, want := range map[string]int{"all": 3, "requests": 2, "errors": 1, "off": 0} {
		a, out := testApp(t, "1.1.1")
		if err := a.log.Set(level); err != nil {
			t.Fatal(err)
		}
		ask(a.handler(), "GET", "/")
		ask(a.handler(), "GET", "/healthz")
		ask(a.handler(), "GET", "/something/1")
		if got := strings.Count(out.String(), "\n"); got != want {
			t.Errorf("%s: %d lines, expected %d:\n%s", level, got, want, out)
		}
	}
	if err := new(requestLog).Set("loud"); err == nil {
		t.Error("accepted an unknown level")
	}
}

func awaitRequest(t *testing.T, a *app) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); a.metrics.inFlight.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the request did not arrive")
		}
	}
}

func TestShutdownFinishesRequests(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	a.log.out = io.Discard
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, answered := make(chan error, 1), make(chan error, 1)
	go func() { ended <- a.run(ctx, listener, time.Minute) }()
	go func() {
		c := call{url: "http://" + listener.Addr().String() + "/slow?seconds=1", fail: true, timeout: time.Minute}
		answered <- c.do(t.Context(), &bytes.Buffer{})
	}()
	awaitRequest(t, a)
	stop()
	if err := <-answered; err != nil {
		t.Errorf("request in flight: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
	expect(t, ask(a.handler(), "GET", "/readyz"), 503, "stopping")
}

func TestShutdownGraceEnds(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	a.log.out = io.Discard
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, listener, 20*time.Millisecond) }()
	go http.Get("http://" + listener.Addr().String() + "/slow?seconds=10")
	awaitRequest(t, a)
	stop()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("got %v", err)
	}
}

func processTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
