package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

const (
	mostSeconds   = 300
	mostBurn      = 60_000
	mostMegabytes = 2048
)

func (a *app) slow(w http.ResponseWriter, r *http.Request) {
	seconds, ok := number(w, r, "seconds", 1, mostSeconds)
	if !ok {
		return
	}
	select {
	case <-time.After(time.Duration(seconds * float64(time.Second))):
		text(w, http.StatusOK, fmt.Sprintf("slow answer after %g s from %s", seconds, a.host))
	case <-r.Context().Done():
	}
}

// burn uses processor time, not time on the clock: under a CPU limit it takes visibly longer.
func (a *app) burn(w http.ResponseWriter, r *http.Request) {
	ms, ok := number(w, r, "ms", 100, mostBurn)
	if !ok {
		return
	}
	begin := time.Now()
	used := burnCPU(time.Duration(ms * float64(time.Millisecond)))
	text(w, http.StatusOK, fmt.Sprintf("burned %d ms of CPU in %d ms on %s",
		used.Milliseconds(), time.Since(begin).Milliseconds(), a.host))
}

func burnCPU(amount time.Duration) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin, used := threadTime(), time.Duration(0)
	for used < amount {
		for range 100_000 {
			runtime.KeepAlive(used)
		}
		used = threadTime() - begin
	}
	return used
}

func threadTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &usage); err != nil {
		panic(err) // only a wrong constant can cause it
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// A hog holds memory until it is told to let go.
type hog struct {
	mutex  sync.Mutex
	blocks [][]byte
	total  int
}

func (h *hog) take(megabytes int) int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if megabytes == 0 {
		h.blocks, h.total = nil, 0
		debug.FreeOSMemory()
		return 0
	}
	block := make([]byte, megabytes<<20)
	for i := 0; i < len(block); i += os.Getpagesize() {
		block[i] = 1 // memory counts only once it has been written to
	}
	h.blocks = append(h.blocks, block)
	h.total += megabytes
	return h.total
}

func (a *app) hog(w http.ResponseWriter, r *http.Request) {
	megabytes, ok := number(w, r, "mb", 10, mostMegabytes)
	if !ok {
		return
	}
	text(w, http.StatusOK, fmt.Sprintf("holding %d MiB on %s", a.memory.take(int(megabytes)), a.host))
}

func (a *app) crash(w http.ResponseWriter, r *http.Request) {
	code, ok := number(w, r, "code", 1, 255)
	if !ok {
		return
	}
	line := fmt.Sprintf("%s ends with exit code %d", a.host, int(code))
	w.Header().Set("Connection", "close")
	text(w, http.StatusOK, line)
	http.NewResponseController(w).Flush()
	fmt.Fprintln(a.log.out, line)
	a.exit(int(code))
}
