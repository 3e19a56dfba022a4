package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// Wget behaves like the wget of busybox, as far as workshops use it, when the program is called
// by that name. Debian's static busybox 1.35 is built without timeouts, and crashes on `wget -T`.
func wget(ctx context.Context, args []string) error {
	get := call{fail: true, timeout: 15 * time.Minute}
	flags := newFlags("wget")
	quiet := flags.Bool("q", false, "print nothing but the answer")
	output := flags.String("O", "", "write to this `FILE`, - is standard output")
	seconds := flags.String("T", "", "give up after so many `SECONDS`")
	flags.BoolVar(&get.include, "S", false, "print the headers, too")
	spider := flags.Bool("spider", false, "only see whether there is an answer")
	flags.Var(&get.headers, "header", "`'NAME: VALUE'` to send")
	flags.StringVar(&get.data, "post-data", "", "body to send by POST")
	flags.BoolVar(&get.insecure, "no-check-certificate", false, "do not check the server's certificate")
	if err := parse(flags, separated(args), 1, 1); err != nil {
		return err
	}
	if *seconds != "" {
		value, err := strconv.ParseFloat(*seconds, 64)
		if err != nil || value <= 0 {
			return usageError(fmt.Sprintf("wget: -T %s: expected seconds", *seconds))
		}
		get.timeout = time.Duration(value * float64(time.Second))
	}
	get.url = withScheme(flags.Arg(0))
	if *spider {
		return get.do(ctx, io.Discard)
	}
	return get.save(ctx, *output, *quiet)
}

// save writes the answer to a file, by default one named as the URL ends.
func (c call) save(ctx context.Context, output string, quiet bool) (err error) {
	if output == "-" {
		return c.do(ctx, os.Stdout)
	}
	if output == "" {
		output = fileName(c.url)
	}
	file, err := os.Create(output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if !quiet {
		fmt.Fprintf(os.Stderr, "%s → %s\n", c.url, output)
	}
	return c.do(ctx, file)
}

func fileName(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	rest, _, _ = strings.Cut(rest, "?")
	_, name, found := strings.Cut(rest, "/")
	if !found || name == "" || strings.HasSuffix(name, "/") {
		return "index.html"
	}
	return path.Base(name)
}

// separated splits clustered short flags the way getopt reads them: -qO- is -q -O -.
func separated(args []string) []string {
	var split []string
	for i, arg := range args {
		if arg == "--" {
			return append(split, args[i:]...)
		}
		if len(arg) < 3 || arg[0] != '-' || arg[1] == '-' {
			split = append(split, arg)
			continue
		}
		for at := 1; at < len(arg); at++ {
			split = append(split, "-"+arg[at:at+1])
			if strings.ContainsRune("OT", rune(arg[at])) && at+1 < len(arg) {
				split = append(split, arg[at+1:])
				break
			}
		}
	}
	return split
}
