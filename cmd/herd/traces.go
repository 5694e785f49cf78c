package main

import (
	"context"
	"fmt"
	"time"

	"herd/configs"
	"herd/node/line"
	"herd/node/status"
)

const traceTime = time.Second // for the last spans, when the process ends

// traces follow reports through the nodes of this process; the nil traces follow none.
type traces struct {
	config  *configs.Config
	out     status.Exporter
	tracers []*status.Tracer
}

// openTraces returns what sends traces to the configured collector, if there is one, and tells failed when it cannot.
func openTraces(ctx context.Context, config *configs.Config, failed func(error)) (*traces, error) {
	if config.Trace.Endpoint == "" {
		return nil, nil
	}
	out, err := status.NewExporter(ctx, config.Trace.Endpoint, failed)
	if err != nil {
		return nil, fmt.Errorf("trace.endpoint: %w", err)
	}
	return &traces{config: config, out: out}, nil
}

// of returns the tracer of a node.
func (t *traces) of(name line.NodeName) *status.Tracer {
	if t == nil {
		return nil
	}
	tracer := status.NewTracer(t.out, t.config.Herd, string(name), ownVersion(), t.config.Trace.OneIn)
	t.tracers = append(t.tracers, tracer)
	return tracer
}

// close sends what is still to be sent, as far as a collector takes it.
func (t *traces) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceTime)
	defer cancel()
	for _, tracer := range t.tracers {
		_ = tracer.Close(ctx) // the exporter has complained
	}
	_ = t.out.Shutdown(ctx)
}
