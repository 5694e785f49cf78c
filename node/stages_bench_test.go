package node

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"herd/bus"
	"herd/bus/subject"
	"herd/node/line"
)

// BenchmarkBatch is what 64 reports in one message cost, each: to be written for a neighbour, and to be read from one, merged and queued
// for two others, and popped there. Making them is not counted. The bus between is in BenchmarkStamp.
func BenchmarkBatch(b *testing.B) {
	const batch, clients = 64, 64 << 10
	var reports [batch]line.Report
	made := 0
	next := func() []line.Report {
		for i := range reports {
			c := line.Parse(fmt.Appendf(nil, "IAMAT client%05d.example %s %d", made%clients, place, 1520023934+made/clients))
			reports[i] = line.NewReport("Hands", 0, &c)
			made++
		}
		return reports[:]
	}
	each := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/report")
	}
	b.Run("encode", func(b *testing.B) {
		payload, all := []byte(nil), next()
		for b.Loop() {
			payload = appendReports(payload[:0], "Hands", all)
		}
		each(b)
	})
	b.Run("relay", func(b *testing.B) {
		n := New(Config{
			Name: "Goloman", Topology: starTopology(b, "Goloman", "Hands", "Holiday", "Wilkes"), Log: zap.NewNop(), Limits: defaultLimits,
		})
		n.engine.Connect(time.Now())
		var payload []byte
		for b.Loop() {
			b.StopTimer()
			payload = appendReports(payload[:0], "Hands", next())
			b.StartTimer()
			n.Receive(bus.Message{Kind: subject.Propagate, From: "Hands", Payload: payload})
		}
		each(b)
		if owed, _ := n.links.all()[1].Owed(); owed != batch {
			b.Errorf("%d reports are owed", owed)
		}
	})
}
