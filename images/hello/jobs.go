package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// countdown prints numbers down to 1. Told to stop early, it fails, so that a Job does not count as done.
func countdown(ctx context.Context, args []string) error {
	flags := newFlags("countdown")
	from := flags.Int("from", 30, "first `number` (HELLO_FROM)")
	every := flags.Duration("every", 2*time.Second, "time between two numbers (HELLO_EVERY)")
	if err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	for n := *from; n > 0; n-- {
		fmt.Println(n)
		if !pause(ctx, *every) {
			return fmt.Errorf("countdown stopped at %d", n)
		}
	}
	fmt.Println("done")
	return nil
}

func writeLog(ctx context.Context, args []string) error {
	flags := newFlags("log")
	every := flags.Duration("every", time.Second, "time between two lines (HELLO_EVERY)")
	path := flags.String("file", "", "append to this `file` instead of standard output (HELLO_FILE)")
	if err := parse(flags, args, 0, 0); err != nil {
		return err
	}
	out := io.Writer(os.Stdout)
	if *path != "" {
		file, err := os.OpenFile(*path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		defer file.Close()
		out = file
	}
	for n := 1; ; n++ {
		_, err := fmt.Fprintf(out, "%d %s %s\n", n, time.Now().UTC().Format(time.RFC3339), hostname())
		if err != nil {
			return err
		}
		if !pause(ctx, *every) {
			return nil
		}
	}
}

func printEnv(_ context.Context, args []string) error {
	flags := newFlags("env [NAME…]")
	if err := parse(flags, args, 0, 100); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		variables := os.Environ()
		slices.Sort(variables)
		fmt.Println(strings.Join(variables, "\n"))
		return nil
	}
	for _, name := range flags.Args() {
		value, set := os.LookupEnv(name)
		if !set {
			return fmt.Errorf("env: %s is not set", name)
		}
		fmt.Println(value)
	}
	return nil
}
