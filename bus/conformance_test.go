package bus_test

import (
	"testing"

	"herd/bus"
	"herd/bus/bustest"
)

func TestConformance(t *testing.T) {
	t.Run("in process", func(t *testing.T) {
		bustest.Conformance(t, func(t *testing.T) func(string) bus.Dialer {
			s := startServer(t, "")
			return func(node string) bus.Dialer { return s.Dialer(node) }
		})
	})
	t.Run("TCP", func(t *testing.T) {
		bustest.Conformance(t, func(t *testing.T) func(string) bus.Dialer {
			s := startServer(t, "127.0.0.1:0")
			return func(node string) bus.Dialer { return s.TCP(node) }
		})
	})
}
