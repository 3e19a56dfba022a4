// Command hello is the story app of the workshop and its companions in one static binary, and process 1 of
// the toolbox.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// A command is what the first argument names.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string) error
}

func commands() []command {
	return []command{
		{"serve", "answer HTTP requests with name, version and host (the default)", serve},
		{"cache", "stand in front of an app and keep its answers for some seconds", serveCache},
		{"loop", "send requests without end and count the answers by version and status", runLoop},
		{"countdown", "print numbers down to 1, then end", countdown},
		{"log", "write a numbered line again and again", writeLog},
		{"wait", "end as soon as a URL or a TCP address answers", wait},
		{"fetch", "print what a URL answers", fetch},
		{"resolve", "print the addresses of a name", resolve},
		{"env", "print environment variables", printEnv},
		{"version", "print the version of this image", printVersion},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	name, args := filepath.Base(os.Args[0]), os.Args[1:]
	run := applet(name)
	switch name {
	case "hello":
		run, args = choose(args)
	case "wget":
		run = wget
	}
	var ended status
	switch err := run(ctx, args); {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &ended):
		os.Exit(int(ended))
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// choose returns the command that the arguments name, and the arguments left for it.
func choose(args []string) (func(context.Context, []string) error, []string) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") && !isHelp(args[0]) {
		return serve, args
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run, args[1:]
		}
	}
	return func(context.Context, []string) error {
		if isHelp(args[0]) {
			fmt.Print(usage())
			return nil
		}
		return usageError(fmt.Sprintf("no command %q\n%s", args[0], usage()))
	}, nil
}

func isHelp(arg string) bool {
	return arg == "help" || arg == "-h" || arg == "--help"
}

func usage() string {
	text := "usage: hello [COMMAND] [--help] [FLAGS]\n"
	for _, c := range commands() {
		text += fmt.Sprintf("  %-10s %s\n", c.name, c.summary)
	}
	return text
}
