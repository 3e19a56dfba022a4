package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Totals are the answers counted since the start or the last reset.
type totals struct {
	mutex    sync.Mutex
	URL      string                    `json:"url"`
	Since    time.Time                 `json:"since"`
	Seconds  float64                   `json:"seconds"`
	Requests int                       `json:"requests"`
	Failed   int                       `json:"failed"`
	Versions map[string]map[string]int `json:"versions"`
	Failures map[string]int            `json:"failures"`
}

func newTotals(url string) *totals {
	return &totals{
		URL: url, Since: time.Now(),
		Versions: map[string]map[string]int{}, Failures: map[string]int{},
	}
}

func (t *totals) answered(version string, status int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.Requests++
	if t.Versions[version] == nil {
		t.Versions[version] = map[string]int{}
	}
	t.Versions[version][fmt.Sprint(status)]++
	if status >= http.StatusBadRequest {
		t.Failed++
		t.Failures[fmt.Sprintf("status %d", status)]++
	}
}

func (t *totals) failed(why string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.Requests++
	t.Failed++
	t.Failures[why]++
}

func (t *totals) show(w http.ResponseWriter) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.Seconds = time.Since(t.Since).Seconds()
	sendJSON(w, http.StatusOK, t)
}

func (t *totals) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	line := fmt.Sprintf("requests %d, failed %d", t.Requests, t.Failed)
	for _, version := range slices.Sorted(maps.Keys(t.Versions)) {
		for _, status := range slices.Sorted(maps.Keys(t.Versions[version])) {
			line += fmt.Sprintf(", %s/%s %d", version, status, t.Versions[version][status])
		}
	}
	return line
}

// A loop sends requests at a steady rate.
type loop struct {
	url     string
	client  *http.Client
	current atomic.Pointer[totals]
}

func newLoop(url string, timeout time.Duration) *loop {
	l := &loop{url: url, client: newClient(timeout)}
	l.reset()
	return l
}

// reset begins to count anew. A request under way still counts for the totals it began with.
func (l *loop) reset() { l.current.Store(newTotals(l.url)) }

func (l *loop) request(ctx context.Context) {
	sums := l.current.Load()
	version, status, err := l.ask(ctx)
	switch {
	case ctx.Err() != nil: // cut off by our own end
	case err != nil:
		sums.failed(reason(err))
	default:
		sums.answered(version, status)
	}
}

func (l *loop) ask(ctx context.Context) (string, int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url, nil)
	if err != nil {
		return "", 0, err
	}
	response, err := l.client.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "", 0, err
	}
	return cmp.Or(response.Header.Get("X-Hello-Version"), "unknown"), response.StatusCode, nil
}

// run sends the requests until the context ends; a slow answer does not hold up the next request.
func (l *loop) run(ctx context.Context, rate float64) {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			go l.request(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (l *loop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /totals", func(w http.ResponseWriter, _ *http.Request) { l.current.Load().show(w) })
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		l.reset()
		text(w, http.StatusOK, "reset")
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") })
	return mux
}

func runLoop(ctx context.Context, args []string) error {
	flags := newFlags("loop")
	url := flags.String("url", "http://localhost:8000/", "`URL` to ask (HELLO_URL)")
	rate := flags.Float64("rate", 20, "requests per second (HELLO_RATE)")
	timeout := flags.Duration("timeout", 2*time.Second, "how long an answer may take (HELLO_TIMEOUT)")
	every := flags.Duration("every", 10*time.Second, "how often to print the totals (HELLO_EVERY)")
	port := flags.Int("port", 8001, "TCP `port` of the totals (PORT)")
	if err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	if *rate <= 0 || *rate > 1000 || *every <= 0 {
		return usageError("loop: --rate must lie between 0 and 1000, --every above 0")
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", *port))
	if err != nil {
		return err
	}
	l := newLoop(withScheme(*url), *timeout)
	fmt.Printf("asking %s %g times a second, totals on %s/totals\n", l.url, *rate, listener.Addr())
	go l.run(ctx, *rate)
	go l.report(ctx, os.Stdout, *every)
	err = serveUntil(ctx, listener, l.handler(), time.Second)
	fmt.Println(l.current.Load())
	return err
}

func (l *loop) report(ctx context.Context, out io.Writer, every time.Duration) {
	for pause(ctx, every) {
		fmt.Fprintln(out, l.current.Load())
	}
}

// withScheme completes an address such as web:8000 to a URL.
func withScheme(address string) string {
	if strings.Contains(address, "://") {
		return address
	}
	return "http://" + address
}
