package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// A forward leads from a port of the machine's loopback to an address in the guest.
type forward struct {
	Local  string `json:"local"`
	Remote string `json:"remote"`
}

// serveForwards answers at a socket of the machine, which the guest does not see: GET lists, POST adds one.
func serveForwards(socket string, wire *wire) error {
	var mutex sync.Mutex
	known := []forward{}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		if request.Method == http.MethodPost {
			var asked forward
			if err := json.NewDecoder(request.Body).Decode(&asked); err != nil {
				http.Error(answer, err.Error(), http.StatusBadRequest)
				return
			}
			if err := wire.forward(asked); err != nil {
				http.Error(answer, err.Error(), http.StatusConflict)
				return
			}
			known = append(known, asked)
		}
		_ = json.NewEncoder(answer).Encode(known)
	}))
}

func (w *wire) forward(asked forward) error {
	local, err := netip.ParseAddrPort(asked.Local)
	if err != nil {
		return err
	}
	if !local.Addr().IsLoopback() {
		return &net.AddrError{Err: "not on loopback", Addr: asked.Local}
	}
	if _, err := resolve(asked.Remote); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", asked.Local)
	if err != nil {
		return err
	}
	go serve(listener, func() (net.Conn, error) { return w.dial(asked.Remote) })
	return nil
}
