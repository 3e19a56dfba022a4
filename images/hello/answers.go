package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// A recorder remembers the status that a handler sent.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes the status on and keeps it.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func text(w http.ResponseWriter, status int, line string) {
	body := line + "\n"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func sendJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

// wants tells whether a client names a media type, as browsers name text/html.
func wants(r *http.Request, mediaType string) bool {
	return strings.Contains(r.Header.Get("Accept"), mediaType)
}

// send answers in JSON to those who ask for it and in text to all others.
func send(w http.ResponseWriter, r *http.Request, status int, line string, value any) {
	w.Header().Add("Vary", "Accept")
	if wants(r, "application/json") {
		sendJSON(w, status, value)
		return
	}
	text(w, status, line)
}

// number reads a query parameter between 0 and most; without one it is the fallback.
// If the parameter is no such number, number answers 400 itself and returns false.
func number(w http.ResponseWriter, r *http.Request, name string, fallback, most float64) (float64, bool) {
	given := r.URL.Query().Get(name)
	if given == "" {
		return fallback, true
	}
	value, err := strconv.ParseFloat(given, 64)
	if err != nil || math.IsNaN(value) || value < 0 || value > most {
		text(w, http.StatusBadRequest, fmt.Sprintf("%s=%s: expected a number from 0 to %g", name, given, most))
		return 0, false
	}
	return value, true
}
