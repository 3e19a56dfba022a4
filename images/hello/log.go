package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// A requestLog writes one line per request.
type requestLog struct {
	out   io.Writer
	level string
}

var logLevels = []string{"all", "requests", "errors", "off"}

func (l *requestLog) String() string { return l.level }

// Set chooses what is written.
func (l *requestLog) Set(level string) error {
	if !slices.Contains(logLevels, level) {
		return fmt.Errorf("expected one of %v", logLevels)
	}
	l.level = level
	return nil
}

func (l *requestLog) write(r *http.Request, path string, status int, took time.Duration) {
	if !l.wants(path, status) {
		return
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	fmt.Fprintf(l.out, "%s %s %s %s %d %.1fms\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		client, r.Method, r.URL.RequestURI(), status, float64(took.Microseconds())/1000)
}

// wants leaves out what asks all the time and hides the rest, unless it failed.
func (l *requestLog) wants(path string, status int) bool {
	switch l.level {
	case "all":
		return true
	case "errors":
		return status >= http.StatusInternalServerError
	case "off":
		return false
	}
	quiet := path == "/healthz" || path == "/readyz" || path == "/metrics" || path == grpcCheck
	return !quiet || status >= http.StatusBadRequest
}
