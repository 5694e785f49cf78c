package status

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"herd/node/line"
)

const maxScrapes = 4 // requests at a time

// addMetrics adds /metrics: the node's Health and Counts, and what Go and the system know of the process. Everything is read during the
// request.
func (s *Server) addMetrics() {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{s.config.Source}, buildInfo(s.config.Version), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
}

// buildInfo returns a metric whose labels identify the build.
func buildInfo(version string) prometheus.Collector {
	labels := prometheus.Labels{"version": version, "revision": "", "go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				labels["revision"] = setting.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "herd_build_info", Help: "Version, revision and Go version of the program; always 1.", ConstLabels: labels})
	g.Set(1)
	return g
}

// collector makes metrics of the health and the counts of a node. No label has a value that a client or a message can choose.
type collector struct{ source Source }

// Describe sends nothing, for which metrics there are depends on links, store and providers. For [prometheus.Collector].
func (c collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of this moment. For [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	h, counts := c.source.Health(), c.source.Counts()
	for _, f := range nodeFigures {
		out <- f.metric(&h, h.Node)
	}
	collectCounts(out, &h, &counts)
	for i := range h.Links {
		l := &h.Links[i]
		for _, f := range linkFigures {
			out <- f.metric(l, h.Node, l.Peer)
		}
		states(out, linkState, l.State, []string{"down", "catching up", "up"}, h.Node, l.Peer)
		if l.ClockOffsetSeconds != nil {
			out <- clockFigure.metric(l, h.Node, l.Peer)
		}
		if l.DigestComparedSeconds != nil && l.DigestEqual != nil {
			for _, f := range digestFigures {
				out <- f.metric(l, h.Node, l.Peer)
			}
		}
	}
	if h.Store != nil {
		for _, f := range storeFigures {
			out <- f.metric(h.Store, h.Node)
		}
		state := h.Store.State
		if state != "ok" && state != "behind" {
			state = "failing" // the text of the error is no value for a label
		}
		states(out, storeState, state, []string{"ok", "behind", "failing"}, h.Node)
	}
	for name, p := range h.Places {
		collectProvider(out, name, &p)
	}
}

// collectCounts sends the metrics of clients and of what was refused.
func collectCounts(out chan<- prometheus.Metric, h *Health, c *Counts) {
	out <- counter(opened, c.Opened, h.Node)
	var of struct{ admitted, stale uint64 }
	for _, command := range c.Commands {
		out <- counter(commands, command.Times, h.Node, command.Name, command.Outcome)
		switch command.Outcome {
		case "admitted":
			of.admitted = command.Times
		case "stale":
			of.stale = command.Times
		}
	}
	out <- counter(received, of.admitted+of.stale, h.Node)
	out <- counter(admitted, of.admitted, h.Node)
	out <- counter(stale, of.stale, h.Node)
	for _, lag := range c.Lags {
		lag.Collect(out)
	}
	for _, reason := range c.Reasons {
		out <- counter(refused, h.Refused[reason], h.Node, reason)
	}
}

// collectProvider sends the metrics of a provider of places, which all nodes of the process share.
func collectProvider(out chan<- prometheus.Metric, name string, p *Provider) {
	for _, f := range placesFigures {
		out <- f.metric(p, name)
	}
	for _, status := range placesStatuses {
		out <- counter(placesCalls, p.Statuses[status], name, status)
	}
	if p.Breaker != "" {
		states(out, placesBreaker, p.Breaker, []string{"closed", "half-open", "open"}, name)
	}
}

// states sends a metric for each state: 1 for the current one, 0 for the others.
func states(out chan<- prometheus.Metric, d *prometheus.Desc, current string, all []string, labels ...string) {
	for _, state := range all {
		value := 0.0
		if state == current {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, append(labels[:len(labels):len(labels)], strings.ReplaceAll(state, " ", "_"))...)
	}
}

func counter(d *prometheus.Desc, value uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

// figure is a metric of one number of a T.
type figure[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*T) float64
}

func (f *figure[T]) metric(of *T, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(f.desc, f.kind, f.value(of), labels...)
}

func gauge[T any](d *prometheus.Desc, value func(*T) float64) figure[T] {
	return figure[T]{d, prometheus.GaugeValue, value}
}

func sum[T any](d *prometheus.Desc, value func(*T) uint64) figure[T] {
	return figure[T]{d, prometheus.CounterValue, func(of *T) float64 { return float64(value(of)) }}
}

// Descriptions of metrics of a node, of a link, and of the process's provider of places.
func ofNode(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("herd_"+name, help, append([]string{"node"}, labels...), nil)
}

func ofLink(name, help string, labels ...string) *prometheus.Desc {
	return ofNode("link_"+name, help, append([]string{"peer"}, labels...)...)
}

func ofPlaces(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("herd_places_"+name, help+" Of all nodes in the process.", append([]string{"provider"}, labels...), nil)
}

// Metrics that have more labels than those.
var (
	opened   = ofNode("sessions_opened_total", "Connections of clients accepted.")
	commands = ofNode("commands_total", "Lines of clients, by command and outcome; the command other stands for lines that were not understood.", "command", "outcome")
	received = ofNode("reports_received_total", "Reports of the node's own clients that no limit refused.")
	admitted = ofNode("reports_admitted_total", "Reports of the node's own clients that were newer than what was held.")
	stale    = ofNode("reports_stale_total", "Reports of the node's own clients that were not newer than what was held.")
	refused  = ofNode("refused_total", "What was refused, dropped or closed, by reason.", "reason")

	linkState = ofLink("state", "1 for the link's state, 0 for the others.", "state")

	storeState = ofNode("store_state", "1 for the store's state, 0 for the others.", "state")

	placesCalls   = ofPlaces("calls_total", "Requests to the provider, by Google's status word of the answer.", "status")
	placesBreaker = ofPlaces("breaker_state", "1 for the state of the provider's circuit breaker, 0 for the others; open: nothing is requested.", "state")
)

// placesStatuses are the status words of Google that package places knows.
var placesStatuses = []string{"OK", "ZERO_RESULTS", "INVALID_REQUEST", "OVER_QUERY_LIMIT", "REQUEST_DENIED", "UNKNOWN_ERROR"}

var nodeFigures = []figure[Health]{
	gauge(ofNode("ready", "1 once the node has caught up with its neighbours, or waited for that long enough."), func(h *Health) float64 { return truth(h.Ready) }),
	gauge(ofNode("bus_connected", "1 while the node is connected to the bus."), func(h *Health) float64 { return truth(h.Bus == "connected") }),
	gauge(ofNode("uptime_seconds", "Since the node started."), func(h *Health) float64 { return h.UptimeSeconds }),
	gauge(ofNode("clients", "Clients whose last report is held."), func(h *Health) float64 { return float64(h.Clients) }),
	gauge(ofNode("clock_correction_seconds", "By which receipts are stamped ahead of the node's own clock, which most neighbours say is wrong by more than an hour; 0 if it is not."), func(h *Health) float64 { return h.ClockCorrectionSeconds }),
	gauge(ofNode("sessions", "Open connections of clients."), func(h *Health) float64 { return float64(h.Sessions) }),
}

var linkFigures = []figure[Link]{
	gauge(ofLink("silent_seconds", "Since the neighbour's last sign of life, or since the node connected."), func(l *Link) float64 { return l.SilentSeconds }),
	gauge(ofLink("never_received", "1 if nothing has come from the neighbour since the node connected."), func(l *Link) float64 { return truth(l.NeverReceived) }),
	gauge(ofLink("duplicate_name", "1 if in the last minute two nodes used one name: the neighbour's or this node's."), func(l *Link) float64 { return truth(l.DuplicateName) }),
	gauge(ofLink("topology_differs", "1 if the neighbour has another topology."), func(l *Link) float64 { return truth(l.Topology != "") }),
	gauge(ofLink("reports_owed", "Reports that the neighbour may lack and that wait to be sent."), func(l *Link) float64 { return float64(l.ReportsOwed) }),
	gauge(ofLink("reports_held", "Reports that the neighbour may lack and that every keeps from being sent yet."), func(l *Link) float64 { return float64(l.ReportsHeld) }),
	gauge(ofLink("every_seconds", "A report of each client is sent at most once in so long; 0: each at once."), func(l *Link) float64 { return l.EverySeconds }),
	gauge(ofLink("in_flight_bytes", "Bytes sent and not acknowledged."), func(l *Link) float64 { return float64(l.InFlightBytes) }),
	gauge(ofLink("window_bytes", "Bytes that may be in flight."), func(l *Link) float64 { return float64(l.WindowBytes) }),
	gauge(ofLink("round_trip_seconds", "From a message to its acknowledgement; 0 if it was not measured on this connection."), func(l *Link) float64 { return orZero(l.RoundTripSeconds) }),
	gauge(ofLink("drain_bytes_per_second", "What the link carries, as last measured while more was owed; 0 if it never was."), func(l *Link) float64 { return float64(orZero(l.DrainBytesPerSecond)) }),
	sum(ofLink("reports_sent_total", "Reports sent: those of the node's own clients and those relayed."), func(l *Link) uint64 { return l.ReportsSent }),
	sum(ofLink("messages_sent_total", "Messages that carried the reports sent."), func(l *Link) uint64 { return l.MessagesSent }),
	sum(ofLink("reports_received_total", "Reports received."), func(l *Link) uint64 { return l.ReportsReceived }),
	sum(ofLink("reports_stale_total", "Reports received that were not newer than what was held."), func(l *Link) uint64 { return l.ReportsStale }),
	sum(ofLink("reports_duplicate_total", "Reports received that were exactly what was held: most had come by another way."), func(l *Link) uint64 { return l.ReportsDuplicate }),
	sum(ofLink("reports_conflated_total", "Reports not sent because a newer one of the client replaced them."), func(l *Link) uint64 { return l.ReportsConflated }),
	sum(ofLink("reports_retransmitted_total", "Reports sent again because the message that had them was lost."), func(l *Link) uint64 { return l.ReportsRetransmitted }),
	sum(ofLink("messages_missing_total", "Messages of the neighbour that were lost."), func(l *Link) uint64 { return l.MessagesMissing }),
	sum(ofLink("messages_repeated_total", "Messages of the neighbour received more than once."), func(l *Link) uint64 { return l.MessagesRepeated }),
	sum(ofLink("syncs_total", "Syncs from this neighbour that ended."), func(l *Link) uint64 { return l.Syncs }),
	sum(ofLink("syncs_abandoned_total", "Syncs that were abandoned for want of answers; another one starts later."), func(l *Link) uint64 { return l.SyncsAbandoned }),
	sum(ofLink("sync_reports_total", "Reports received while a sync ran."), func(l *Link) uint64 { return l.SyncReports }),
	sum(ofLink("sync_reports_new_total", "Reports received while a sync ran that were newer than what was held."), func(l *Link) uint64 { return l.SyncReportsNew }),
	sum(ofLink("sync_received_bytes_total", "Requests and answers of syncs received."), func(l *Link) uint64 { return l.SyncReceivedBytes }),
	sum(ofLink("sync_sent_bytes_total", "Requests and answers of syncs sent."), func(l *Link) uint64 { return l.SyncSentBytes }),
	sum(ofLink("sync_requests_dropped_total", "Requests of the neighbour that were dropped because too many waited."), func(l *Link) uint64 { return l.SyncRequestsDropped }),
	sum(ofLink("duplicate_name_signs_total", "Signs that two nodes use one name: the neighbour's or this node's."), func(l *Link) uint64 { return l.DuplicateNameSigns }),
}

func orZero[N float64 | int](n *N) N {
	if n == nil {
		return 0
	}
	return *n
}

// clockFigure exists once the neighbour has said what its clock shows.
var clockFigure = gauge(ofLink("clock_offset_seconds", "The neighbour's clock less this node's, as of its last heartbeat; half the round trip is taken into account."), func(l *Link) float64 { return *l.ClockOffsetSeconds })

// digestFigures exist once digests have been compared.
var digestFigures = []figure[Link]{
	gauge(ofLink("digest_equal", "1 if both ends held the same when digests were last compared, which they are not while reports are in flight."), func(l *Link) float64 { return truth(*l.DigestEqual) }),
	gauge(ofLink("digest_compared_seconds", "Since digests were last compared."), func(l *Link) float64 { return *l.DigestComparedSeconds }),
}

var storeFigures = []figure[Store]{
	gauge(ofNode("store_waiting_reports", "Reports that are not yet on the disk."), func(s *Store) float64 { return float64(s.WaitingReports) }),
	gauge(ofNode("store_lag_seconds", "How long the first of them has waited."), func(s *Store) float64 { return s.LagSeconds }),
}

var placesFigures = []figure[Provider]{
	{
		ofPlaces("call_seconds_total", "Sum of the durations of requests to the provider."), prometheus.CounterValue,
		func(p *Provider) float64 { return p.CallSeconds },
	},
	sum(ofPlaces("retries_total", "Attempts beyond the first of each request to the provider."), func(p *Provider) uint64 { return p.Retries }),
	sum(ofPlaces("cache_hits_total", "Answers from the cache, without a request to the provider."), func(p *Provider) uint64 { return p.CacheHits }),
	sum(ofPlaces("joined_total", "Questions that shared the request of an equal one in flight."), func(p *Provider) uint64 { return p.Joined }),
	sum(ofPlaces("fallbacks_total", "Answers of the fallback in the provider's place."), func(p *Provider) uint64 { return p.Fallbacks }),
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// Counts is what a node has counted since its start that is not in its Health.
type Counts struct {
	Opened   uint64      // connections of clients that were accepted
	Commands []Command   // each outcome of each command
	Reasons  []string    // all for which something can be refused, see [Health]
	Lags     []Histogram // those of reports, and of each link
}

// Command counts the lines of clients with one command and one outcome.
type Command struct {
	Name    string // IAMAT, WHATSAT, or other for a line that was not understood
	Outcome string // of an IAMAT, admitted, stale or refused
	Times   uint64
}

// Histogram counts values by size, for /metrics. It is safe for concurrent use.
type Histogram = prometheus.Histogram

// lags are the bounds of lags, in seconds. A lag is below zero when two clocks differ by more than it.
var lags = []float64{-60, -1, -0.1, 0, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600}

// NewReportLag returns an empty histogram of a node's clock less the client's time, of reports from clients or neighbours.
func NewReportLag(node line.NodeName, from string) Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "herd_report_lag_seconds", Buckets: lags, ConstLabels: prometheus.Labels{"node": string(node), "from": from},
		Help: "The node's clock less the client's time, when a client or a neighbour brought a newer report: one report of each read or message. " +
			"Below 0 if the client's clock is ahead, so use the buckets, not the sum.",
	})
}

// NewLinkLag returns an empty histogram of a node's clock less the time of receipt at the origin, of reports from one neighbour.
func NewLinkLag(node, peer line.NodeName) Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "herd_link_lag_seconds", Buckets: lags, ConstLabels: prometheus.Labels{"node": string(node), "peer": string(peer)},
		Help: "The node's clock less the time of receipt at the origin, when the neighbour brought a newer report: the first of each message. " +
			"Below 0 if the origin's clock is ahead, so use the buckets, not the sum.",
	})
}
