package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// An app is the server of the story.
type app struct {
	version string
	host    string
	delay   time.Duration
	started time.Time
	config  configSource
	state   state
	hits    counter
	asked   atomic.Int64
	memory  hog
	metrics *metrics
	log     requestLog
	exit    func(code int)
}

func newApp(out io.Writer) *app {
	return &app{
		version: version(),
		host:    hostname(),
		started: time.Now(),
		config:  configSource{prefix: "APP_", dir: "/etc/config"},
		metrics: newMetrics(),
		log:     requestLog{out: out, level: "requests"},
		exit:    os.Exit,
	}
}

func serve(ctx context.Context, args []string) error {
	a := newApp(os.Stdout)
	flags := newFlags("serve")
	port := flags.Int("port", 8000, "TCP `port` to listen on (PORT)")
	grace := flags.Duration("grace", 20*time.Second, "how long requests may take to finish after SIGTERM (HELLO_GRACE)")
	flags.DurationVar(&a.delay, "startup-delay", 0, "answer 503 for so long after the start (HELLO_STARTUP_DELAY)")
	flags.Var(&a.log, "log", "`level`: all, requests (no probes), errors or off (HELLO_LOG)")
	flags.StringVar(&a.config.prefix, "config-prefix", a.config.prefix, "variables that /config shows (HELLO_CONFIG_PREFIX)")
	flags.StringVar(&a.config.dir, "config-dir", a.config.dir, "files that /config shows (HELLO_CONFIG_DIR)")
	if err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", *port))
	if err != nil {
		return err
	}
	fmt.Fprintf(a.log.out, "hello %s listens on %s\n", a.version, listener.Addr())
	return a.run(ctx, listener, *grace)
}

// run serves until the context ends, then lets requests in flight finish.
func (a *app) run(ctx context.Context, listener net.Listener, grace time.Duration) error {
	// the server is told only when the line is written: an idle one would end before it
	told, tell := context.WithCancel(context.WithoutCancel(ctx))
	defer tell()
	defer context.AfterFunc(ctx, func() {
		a.state.stopping.Store(true)
		fmt.Fprintf(a.log.out, "told to stop, %d in flight get %s to finish\n", a.metrics.inFlight.Load(), grace)
		tell()
	})()
	return serveUntil(told, listener, a.handler(), grace)
}

// serveUntil serves until the context ends and then waits at most for the grace period.
func serveUntil(ctx context.Context, listener net.Listener, handler http.Handler, grace time.Duration) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true) // what gRPC probes speak
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(late); errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("requests were cut off after %s", grace)
	} else if err != nil {
		return err
	}
	return nil
}

// handler puts what every answer has in common around the routes: headers, metrics and the log.
func (a *app) handler() http.Handler {
	routes := a.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		path := label(routes, r)
		w.Header().Set("X-Hello-Version", a.version)
		w.Header().Set("X-Hello-Host", a.host)
		answer := &recorder{ResponseWriter: w, status: http.StatusOK}
		a.metrics.inFlight.Add(1)
		defer func() {
			a.metrics.inFlight.Add(-1)
			a.metrics.observe(path, answer.status, time.Since(begin))
			a.log.write(r, path, answer.status, time.Since(begin))
		}()
		if a.starting() && path != "/metrics" {
			text(answer, http.StatusServiceUnavailable, "starting")
			return
		}
		routes.ServeHTTP(answer, r)
	})
}

func (a *app) starting() bool {
	return time.Since(a.started) < a.delay
}

func (a *app) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.hello)
	mux.HandleFunc("GET /healthz", a.healthz)
	mux.HandleFunc("POST /healthz", a.setHealthy)
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("POST /readyz", a.setReady)
	mux.HandleFunc("POST "+grpcCheck, a.checkByGRPC)
	mux.HandleFunc("GET /metrics", a.showMetrics)
	mux.HandleFunc("GET /config", a.showConfig)
	mux.HandleFunc("GET /something/{n}", a.something)
	mux.HandleFunc("GET /slow", a.slow)
	mux.HandleFunc("GET /burn", a.burn)
	mux.HandleFunc("GET /hog", a.hog)
	mux.HandleFunc("GET /crash", a.crash)
	return mux
}
