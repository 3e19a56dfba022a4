package main

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// The state is what learners change from outside. Its zero value is a healthy, ready server.
type state struct {
	unhealthy atomic.Bool
	unready   atomic.Bool
	stopping  atomic.Bool
}

// A counter counts the answers of each name.
type counter struct {
	mutex sync.Mutex
	seen  map[string]int
}

func (c *counter) next(name string) int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[name]++
	return c.seen[name]
}

func (a *app) hello(w http.ResponseWriter, r *http.Request) {
	count := a.asked.Add(1)
	status, line := http.StatusOK, fmt.Sprintf("hello %s from %s", a.version, a.host)
	answer := map[string]string{"app": "hello", "version": a.version, "host": a.host}
	if buggy[a.version] {
		status, line = http.StatusInternalServerError, fmt.Sprintf("hello %s has a bug, says %s", a.version, a.host)
		answer["error"] = "bug"
	}
	if wants(r, "text/html") {
		w.Header().Add("Vary", "Accept")
		a.browserPage(w, status, line, count)
		return
	}
	send(w, r, status, line, answer)
}

func (s *state) health() (int, string) {
	if s.unhealthy.Load() {
		return http.StatusServiceUnavailable, "unhealthy"
	}
	return http.StatusOK, "ok"
}

func (s *state) readiness() (int, string) {
	switch {
	case s.stopping.Load():
		return http.StatusServiceUnavailable, "stopping"
	case s.unready.Load():
		return http.StatusServiceUnavailable, "not ready"
	}
	return http.StatusOK, "ready"
}

func (a *app) healthz(w http.ResponseWriter, _ *http.Request) {
	status, line := a.state.health()
	text(w, status, line)
}

func (a *app) readyz(w http.ResponseWriter, _ *http.Request) {
	status, line := a.state.readiness()
	text(w, status, line)
}

func (a *app) setHealthy(w http.ResponseWriter, r *http.Request) {
	if set(w, r, "healthy", &a.state.unhealthy) {
		_, line := a.state.health()
		text(w, http.StatusOK, line)
	}
}

func (a *app) setReady(w http.ResponseWriter, r *http.Request) {
	if set(w, r, "ready", &a.state.unready) {
		_, line := a.state.readiness()
		text(w, http.StatusOK, line)
	}
}

// set stores the opposite of a query parameter. If it is neither true nor false,
// set answers 400 itself and returns false.
func set(w http.ResponseWriter, r *http.Request, name string, opposite *atomic.Bool) bool {
	value, err := strconv.ParseBool(r.URL.Query().Get(name))
	if err != nil {
		text(w, http.StatusBadRequest, fmt.Sprintf("expected ?%s=true or ?%s=false", name, name))
		return false
	}
	opposite.Store(!value)
	return true
}

// something gives answers worth caching: the number in them grows with every look-up.
func (a *app) something(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("n")
	if _, err := strconv.Atoi(name); err != nil {
		text(w, http.StatusNotFound, fmt.Sprintf("there is no something %q", name))
		return
	}
	count := a.hits.next(name)
	send(w, r, http.StatusOK, fmt.Sprintf("something %s, look-up %d on %s", name, count, a.host),
		map[string]any{"something": name, "lookup": count, "host": a.host, "version": a.version})
}
