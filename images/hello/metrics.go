package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Upper bounds of the duration histogram in seconds.
var buckets = [...]float64{0.005, 0.025, 0.1, 0.5, 1, 5}

// A route is one row of the request metrics.
type route struct {
	path string
	code int
}

// The timing of one route: requests by bucket (the last one is everything slower) and their sum.
type timing struct {
	counts [len(buckets) + 1]int
	sum    float64
}

type metrics struct {
	inFlight atomic.Int64
	mutex    sync.Mutex
	routes   map[route]*timing
}

func newMetrics() *metrics {
	return &metrics{routes: map[route]*timing{}}
}

// label names a request by its route, so that learners' odd paths do not each make a new series.
func label(mux *http.ServeMux, r *http.Request) string {
	_, pattern := mux.Handler(r)
	_, path, _ := strings.Cut(pattern, " ")
	return cmp.Or(strings.TrimSuffix(path, "{$}"), "other")
}

func (m *metrics) observe(path string, code int, took time.Duration) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	row := m.routes[route{path, code}]
	if row == nil {
		row = &timing{}
		m.routes[route{path, code}] = row
	}
	bucket, _ := slices.BinarySearch(buckets[:], took.Seconds())
	row.counts[bucket]++
	row.sum += took.Seconds()
}

// write prints the metrics in the Prometheus text format.
// See https://prometheus.io/docs/instrumenting/exposition_formats/
func (m *metrics) write(w io.Writer, version string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	rows := slices.SortedFunc(maps.Keys(m.routes), func(a, b route) int {
		return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.code, b.code))
	})
	fmt.Fprintln(w, "# HELP hello_build_info Which release runs here.\n# TYPE hello_build_info gauge")
	fmt.Fprintf(w, "hello_build_info{version=%q,go=%q} 1\n", version, runtime.Version())
	fmt.Fprintln(w, "# HELP http_requests_in_flight Requests being answered.\n# TYPE http_requests_in_flight gauge")
	fmt.Fprintf(w, "http_requests_in_flight %d\n", m.inFlight.Load())
	fmt.Fprintln(w, "# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter")
	for _, row := range rows {
		fmt.Fprintf(w, "http_requests_total{%s} %d\n", labels(row, version), m.routes[row].total())
	}
	fmt.Fprintln(w, "# HELP http_request_duration_seconds Time to answer.\n# TYPE http_request_duration_seconds histogram")
	for _, row := range rows {
		m.routes[row].write(w, labels(row, version))
	}
}

func labels(row route, version string) string {
	return fmt.Sprintf("path=%q,code=\"%d\",version=%q", row.path, row.code, version)
}

func (t *timing) total() int {
	total := 0
	for _, count := range t.counts {
		total += count
	}
	return total
}

func (t *timing) write(w io.Writer, labels string) {
	sum := 0
	for i, bound := range buckets {
		sum += t.counts[i]
		fmt.Fprintf(w, "http_request_duration_seconds_bucket{%s,le=\"%g\"} %d\n", labels, bound, sum)
	}
	fmt.Fprintf(w, "http_request_duration_seconds_bucket{%s,le=\"+Inf\"} %d\n", labels, t.total())
	fmt.Fprintf(w, "http_request_duration_seconds_sum{%s} %g\n", labels, t.sum)
	fmt.Fprintf(w, "http_request_duration_seconds_count{%s} %d\n", labels, t.total())
}

func (a *app) showMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	a.metrics.write(w, a.version)
}
