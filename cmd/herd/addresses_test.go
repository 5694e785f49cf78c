//go:build peers || prometheus

package main

import (
	"net"
	"testing"
)

// freeAddresses are so many that nobody listens at.
func freeAddresses(t testing.TB, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // not before all are found
		all = append(all, l.Addr().String())
	}
	return all
}
