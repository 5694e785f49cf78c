package process

import (
	"context"
	"fmt"
	"time"

	"herd/configs"
	"herd/node/line"
	"herd/node/trace"
)

const traceTimeout = time.Second // for the last spans when the process ends

// traces is what the nodes of the process send to a collector; nil sends nothing.
type traces struct {
	config  *configs.Config
	version string
	out     trace.Exporter // shared by the tracers
	tracers []*trace.Tracer
}

// openTraces returns traces for the configured collector, or nil if there is none. It calls failed when the collector takes no spans.
func openTraces(ctx context.Context, config *configs.Config, version string, failed func(error)) (*traces, error) {
	if config.Trace.Endpoint == "" {
		return nil, nil
	}
	out, err := trace.NewExporter(ctx, config.Trace.Endpoint, failed)
	if err != nil {
		return nil, fmt.Errorf("trace.endpoint: %w", err)
	}
	return &traces{config: config, version: version, out: out}, nil
}

// of returns the tracer of a node.
func (t *traces) of(name line.NodeName) *trace.Tracer {
	if t == nil {
		return nil
	}
	tracer := trace.NewTracer(t.out, t.config.Herd, string(name), t.version, t.config.Trace.OneIn)
	t.tracers = append(t.tracers, tracer)
	return tracer
}

// close sends the last spans, if the collector takes them in time.
func (t *traces) close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), traceTimeout)
	defer cancel()
	for _, tracer := range t.tracers {
		_ = tracer.Close(ctx) // which the exporter has logged
	}
	_ = t.out.Shutdown(ctx)
}
