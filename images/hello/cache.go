package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	mostEntries  = 1000
	mostBodySize = 1 << 20
)

// A cache keeps the answers of one upstream for a while.
type cache struct {
	upstream http.Handler
	success  time.Duration
	failure  time.Duration
	now      func() time.Time
	out      io.Writer
	mutex    sync.Mutex
	entries  map[string]entry
}

// An entry is a stored answer.
type entry struct {
	status  int
	header  http.Header
	body    []byte
	stored  time.Time
	expires time.Time
}

func serveCache(ctx context.Context, args []string) error {
	flags := newFlags("cache")
	port := flags.Int("port", 8080, "TCP `port` to listen on (PORT)")
	upstream := flags.String("upstream", "http://localhost:8000", "`URL` of the app behind (HELLO_UPSTREAM)")
	success := flags.Duration("success", 15*time.Second, "how long to keep good answers (HELLO_SUCCESS)")
	failure := flags.Duration("error", 3*time.Second, "how long to keep errors (HELLO_ERROR)")
	grace := flags.Duration("grace", 20*time.Second, "how long requests may take to finish after SIGTERM (HELLO_GRACE)")
	if err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	target, err := url.Parse(*upstream)
	if err != nil || target.Host == "" {
		return usageError(fmt.Sprintf("cache: --upstream %s: expected a URL such as http://localhost:8000", *upstream))
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", *port))
	if err != nil {
		return err
	}
	fmt.Printf("cache on %s for %s, good answers %s, errors %s\n", listener.Addr(), target, *success, *failure)
	return serveUntil(ctx, listener, newCache(newProxy(target), *success, *failure, os.Stdout), *grace)
}

func newCache(upstream http.Handler, success, failure time.Duration, out io.Writer) *cache {
	return &cache{
		upstream: upstream, success: success, failure: failure, out: out,
		now: time.Now, entries: map[string]entry{},
	}
}

func newProxy(target *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			text(w, http.StatusBadGateway, fmt.Sprintf("cache: no answer from %s: %s", target.Host, reason(err)))
		},
	}
}

// ServeHTTP answers from the store or asks the upstream.
func (c *cache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/cache/healthz" {
		text(w, http.StatusOK, "ok")
		return
	}
	key := cacheKey(r)
	if kept, ok := c.get(key); ok && cacheable(r) {
		c.replay(w, r, kept)
		return
	}
	w.Header().Set("X-Cache", "miss")
	copied := &copier{recorder: recorder{ResponseWriter: w, status: http.StatusOK}}
	c.upstream.ServeHTTP(copied, r) // panics if the answer breaks off, then nothing is stored
	c.logLine(r, copied.status, "miss")
	if cacheable(r) && copied.body.Len() <= mostBodySize {
		c.put(key, copied)
	}
}

// cacheable says whether others may get the same answer.
func cacheable(r *http.Request) bool {
	for _, header := range []string{"Authorization", "Cookie", "Range", "Upgrade"} {
		if r.Header.Get(header) != "" {
			return false
		}
	}
	return r.Method == http.MethodGet
}

func cacheKey(r *http.Request) string {
	parts := []string{
		r.Host, r.URL.RequestURI(),
		r.Header.Get("X-Auth-Token"), r.Header.Get("apikey"), r.Header.Get("Accept"),
	}
	return strings.Join(parts, "\x00")
}

func (c *cache) get(key string) (entry, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	kept, ok := c.entries[key]
	return kept, ok && c.now().Before(kept.expires)
}

func (c *cache) put(key string, answer *copier) {
	now, lifetime := c.now(), c.success
	if answer.status >= http.StatusBadRequest {
		lifetime = c.failure
	}
	header := answer.Header().Clone()
	header.Del("X-Cache")
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if len(c.entries) >= mostEntries {
		c.makeRoom(now)
	}
	c.entries[key] = entry{answer.status, header, answer.body.Bytes(), now, now.Add(lifetime)}
}

// makeRoom forgets what has expired and, if nothing has, everything.
func (c *cache) makeRoom(now time.Time) {
	for key, kept := range c.entries {
		if !now.Before(kept.expires) {
			delete(c.entries, key)
		}
	}
	if len(c.entries) >= mostEntries {
		clear(c.entries)
	}
}

func (c *cache) replay(w http.ResponseWriter, r *http.Request, kept entry) {
	for name, values := range kept.header {
		w.Header()[name] = values
	}
	w.Header().Set("X-Cache", "hit")
	w.Header().Set("Age", strconv.Itoa(int(c.now().Sub(kept.stored).Seconds())))
	w.WriteHeader(kept.status)
	w.Write(kept.body)
	c.logLine(r, kept.status, "hit")
}

func (c *cache) logLine(r *http.Request, status int, result string) {
	fmt.Fprintf(c.out, "%s %s %s %d %s\n",
		c.now().UTC().Format("2006-01-02T15:04:05.000Z"), r.Method, r.URL.RequestURI(), status, result)
}

// A copier keeps what it passes on.
type copier struct {
	recorder
	body bytes.Buffer
}

// Write passes the bytes on and keeps them, unless the answer is too long to be stored.
func (c *copier) Write(data []byte) (int, error) {
	if c.body.Len() <= mostBodySize {
		c.body.Write(data)
	}
	return c.ResponseWriter.Write(data)
}
