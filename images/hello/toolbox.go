package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// A status is the exit code with which a program ended that ran in our place.
type status int

func (s status) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// What a container is told, and what process 1 hands on.
var handedOn = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
}

// applet returns what the toolbox runs under a name other than ours: busybox. The kernel keeps from process 1
// every signal that it has no handler for, and so neither `sleep` nor a shell would end when its container
// is stopped. As process 1 we therefore stay, hand signals on and collect orphans.
func applet(name string) func(context.Context, []string) error {
	return func(_ context.Context, args []string) error {
		const program = "/bin/busybox"
		words := append([]string{name}, args...)
		if os.Getpid() != 1 {
			return &os.PathError{Op: "exec", Path: program, Err: syscall.Exec(program, words, os.Environ())}
		}
		return runAsChild(program, words)
	}
}

// runAsChild starts a program, and ends as it ends.
func runAsChild(program string, words []string) error {
	told := make(chan os.Signal, 16)
	signal.Notify(told, handedOn...)
	terminal := isTerminal(os.Stdin)
	child, err := os.StartProcess(program, words, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		// Ctrl-C at a terminal is for the child alone
		Sys: &syscall.SysProcAttr{Setpgid: terminal, Foreground: terminal},
	})
	if err != nil {
		return err
	}
	go func() {
		for each := range told {
			child.Signal(each)
			if terminal && each == syscall.SIGTERM {
				child.Signal(syscall.SIGHUP) // a shell that somebody types into heeds nothing less
			}
		}
	}()
	return collect(child.Pid)
}

// collect waits for all children, orphans of others included, until the one that matters has ended.
func collect(main int) error {
	for {
		var ended syscall.WaitStatus
		switch pid, err := syscall.Wait4(-1, &ended, 0, nil); {
		case errors.Is(err, syscall.EINTR) || err == nil && pid != main:
		case err != nil:
			return err
		case ended.Signaled():
			return status(128 + int(ended.Signal()))
		case ended.ExitStatus() != 0:
			return status(ended.ExitStatus())
		default:
			return nil
		}
	}
}

// isTerminal tells whether a file is the terminal that controls us.
func isTerminal(file *os.File) bool {
	var group int32
	_, _, failed := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&group)))
	return failed == 0
}
