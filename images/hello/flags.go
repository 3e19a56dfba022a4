package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// A usageError says that the command line is wrong; the process ends with 2.
type usageError string

func (e usageError) Error() string { return string(e) }

func newFlags(command string) *flag.FlagSet {
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

// parse reads the flags; what is not on the command line comes from the environment.
// It accepts between least and most arguments that are not flags.
func parse(flags *flag.FlagSet, args []string, least, most int) error {
	var fromEnv error
	flags.VisitAll(func(f *flag.Flag) {
		value, set := os.LookupEnv(variable(f.Name))
		if !set || fromEnv != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			fromEnv = usageError(fmt.Sprintf("%s=%q: %v", variable(f.Name), value, err))
		}
	})
	if fromEnv != nil {
		return fromEnv
	}
	switch err := flags.Parse(args); {
	case err == flag.ErrHelp:
		flags.SetOutput(os.Stdout)
		fmt.Printf("usage: hello %s [FLAGS]\n", flags.Name())
		flags.PrintDefaults()
		return err
	case err != nil:
		return usageError(fmt.Sprintf("%s: %v", flags.Name(), err))
	case flags.NArg() < least || flags.NArg() > most:
		return usageError(fmt.Sprintf("%s: %d arguments, expected %s", flags.Name(), flags.NArg(), span(least, most)))
	}
	return nil
}

// variable names the environment variable of a flag. The port's is PORT, because Kubernetes
// itself sets HELLO_PORT in every Pod once there is a Service named hello.
func variable(flag string) string {
	name := strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
	if name == "PORT" {
		return name
	}
	return "HELLO_" + name
}

func span(least, most int) string {
	if least == most {
		return fmt.Sprint(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// A list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ", ") }

// Set adds one value.
func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}
