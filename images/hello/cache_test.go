package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A counting upstream answers with the number of the request, or fails on /bad.
func testCache(t *testing.T) (*cache, *time.Time) {
	t.Helper()
	asked := 0
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path == "/bad" {
			text(w, 500, fmt.Sprint(asked))
			return
		}
		text(w, 200, fmt.Sprint(asked))
	})
	now := time.Now()
	c := newCache(upstream, 15*time.Second, 3*time.Second, io.Discard)
	c.now = func() time.Time { return now }
	return c, &now
}

func expectCached(t *testing.T, answer *httptest.ResponseRecorder, body, result string) {
	t.Helper()
	expect(t, answer, answer.Code, body)
	if got := answer.Header().Get("X-Cache"); got != result {
		t.Errorf("X-Cache %q, expected %q", got, result)
	}
}

func TestCacheKeepsSuccessLongerThanErrors(t *testing.T) {
	c, now := testCache(t)
	expectCached(t, ask(c, "GET", "/good"), "1", "miss")
	expectCached(t, ask(c, "GET", "/bad"), "2", "miss")
	*now = now.Add(2900 * time.Millisecond)
	expectCached(t, ask(c, "GET", "/good"), "1", "hit")
	bad := ask(c, "GET", "/bad")
	expectCached(t, bad, "2", "hit")
	if bad.Code != 500 || bad.Header().Get("Age") != "2" {
		t.Errorf("got %d, age %s", bad.Code, bad.Header().Get("Age"))
	}
	*now = now.Add(200 * time.Millisecond)
	expectCached(t, ask(c, "GET", "/good"), "1", "hit")
	expectCached(t, ask(c, "GET", "/bad"), "3", "miss")
	*now = now.Add(12 * time.Second)
	expectCached(t, ask(c, "GET", "/good"), "4", "miss")
}

func TestCacheKey(t *testing.T) {
	c, _ := testCache(t)
	expectCached(t, ask(c, "GET", "/a"), "1", "miss")
	expectCached(t, ask(c, "GET", "/b"), "2", "miss")
	expectCached(t, ask(c, "GET", "/a?x=1"), "3", "miss")
	expectCached(t, ask(c, "GET", "/a", "X-Auth-Token", "ann"), "4", "miss")
	expectCached(t, ask(c, "GET", "/a", "X-Auth-Token", "bob"), "5", "miss")
	expectCached(t, ask(c, "GET", "/a", "apikey", "ann"), "6", "miss")
	expectCached(t, ask(c, "GET", "/a", "X-Auth-Token", "ann"), "4", "hit")
	expectCached(t, ask(c, "GET", "/a"), "1", "hit")
}

func TestCacheStoresNothingPrivate(t *testing.T) {
	c, _ := testCache(t)
	ask(c, "GET", "/a")
	expectCached(t, ask(c, "GET", "/a", "Authorization", "Bearer x"), "2", "miss")
	expectCached(t, ask(c, "POST", "/a"), "3", "miss")
	expectCached(t, ask(c, "GET", "/a"), "1", "hit")
}

func TestCacheIsBounded(t *testing.T) {
	c, now := testCache(t)
	for n := range mostEntries {
		ask(c, "GET", fmt.Sprintf("/%d", n))
	}
	*now = now.Add(time.Minute)
	ask(c, "GET", "/new")
	if len(c.entries) != 1 {
		t.Errorf("%d entries", len(c.entries))
	}
}

func TestCacheDoesNotStoreLongAnswers(t *testing.T) {
	long := strings.Repeat("x", mostBodySize+1)
	c := newCache(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, long) }),
		time.Hour, time.Hour, io.Discard)
	expectCached(t, ask(c, "GET", "/"), long, "miss")
	expectCached(t, ask(c, "GET", "/"), long, "miss")
}

func TestCacheInFrontOfTheApp(t *testing.T) {
	a, _ := testApp(t, "1.0.0")
	server := httptest.NewServer(a.handler())
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(newProxy(target), time.Hour, time.Hour, io.Discard)
	expectCached(t, ask(c, "GET", "/something/1"), "something 1, look-up 1 on pod-1", "miss")
	expectCached(t, ask(c, "GET", "/something/1"), "something 1, look-up 1 on pod-1", "hit")
	expect(t, ask(c, "GET", "/cache/healthz"), 200, "ok")
	server.Close()
	expectCached(t, ask(c, "GET", "/something/2"), "cache: no answer from "+target.Host+": connection refused", "miss")
	expectCached(t, ask(c, "GET", "/something/2"), "cache: no answer from "+target.Host+": connection refused", "hit")
}
