package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// request is a program that makes one HTTP request and prints the status, the headers Location, Set-Cookie and WWW-Authenticate, and the body:
//
//	request METHOD URL [NAME: VALUE]... [BODY]
func request() {
	var body io.Reader
	headers := make(http.Header)
	for _, more := range os.Args[3:] {
		if name, value, ok := strings.Cut(more, ": "); ok && !strings.Contains(name, " ") {
			headers.Set(name, value)
		} else {
			body = strings.NewReader(strings.ReplaceAll(more, `\n`, "\n"))
		}
	}
	r, err := http.NewRequest(os.Args[1], os.Args[2], body)
	if err != nil {
		fail(err)
	}
	r.Header, r.Host = headers, headers.Get("Host")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		fail(err)
	}
	fmt.Println(answer.Status)
	for _, name := range []string{"Location", "Set-Cookie", "WWW-Authenticate"} {
		for _, value := range answer.Header[http.CanonicalHeaderKey(name)] {
			fmt.Printf("%s: %s\n", name, value)
		}
	}
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
