package status

import "github.com/prometheus/client_golang/prometheus"

// figure is a metric that is one number of a T.
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

// Metrics with more than one number.
var (
	opened    = ofNode("sessions_opened_total", "Connections of clients that were let in.")
	commands  = ofNode("commands_total", "Lines of clients, by command and how they ended; a command of other was not understood.", "command", "outcome")
	received  = ofNode("reports_received_total", "Reports of clients here that no limit refused.")
	admitted  = ofNode("reports_admitted_total", "Reports of clients here that were news.")
	stale     = ofNode("reports_stale_total", "Reports of clients here that were not later than what was known.")
	reportLag = ofNode("report_lag_seconds", "Own clock less the client's time, when a client or a neighbour brought news: one report of each read or message. "+
		"Below 0 if the client's clock is ahead, so use the buckets, not the sum.", "from")
	refused = ofNode("refused_total", "What was refused, dropped or closed, by reason.", "reason")

	linkState = ofLink("state", "1 for the link's state, 0 for the others.", "state")
	linkLag   = ofLink("lag_seconds", "Own clock less the time of receipt at the origin, when the neighbour brought news: the first such report of each message. "+
		"Below 0 if the origin's clock is ahead, so use the buckets, not the sum.")

	storeState = ofNode("store_state", "1 for the disk's state, 0 for the others.", "state")

	placesCalls   = ofPlaces("calls_total", "Questions to the provider, by Google's status word of the answer.", "status")
	placesBreaker = ofPlaces("breaker_state", "1 for the state of the provider's breaker, 0 for the others; open: it is not asked.", "state")
)

// placesStatuses are the status words of Google that package places knows.
var placesStatuses = []string{"OK", "ZERO_RESULTS", "INVALID_REQUEST", "OVER_QUERY_LIMIT", "REQUEST_DENIED", "UNKNOWN_ERROR"}

var nodeFigures = []figure[Health]{
	gauge(ofNode("ready", "1 once the node has caught up with its neighbours, or waited for that long enough."), func(h *Health) float64 { return truth(h.Ready) }),
	gauge(ofNode("bus_connected", "1 while the node is connected to the bus."), func(h *Health) float64 { return truth(h.Bus == "connected") }),
	gauge(ofNode("uptime_seconds", "Since the node began."), func(h *Health) float64 { return h.Uptime }),
	gauge(ofNode("clients", "Clients whose last place is known."), func(h *Health) float64 { return float64(h.Clients) }),
	gauge(ofNode("sessions", "Connections of clients now."), func(h *Health) float64 { return float64(h.Sessions) }),
}

var linkFigures = []figure[Link]{
	gauge(ofLink("silent_seconds", "Since the neighbour's last heartbeat, or since the node is connected."), func(l *Link) float64 { return l.Silent }),
	gauge(ofLink("unheard", "1 if nothing came from the neighbour since the node is connected."), func(l *Link) float64 { return truth(l.Unheard) }),
	gauge(ofLink("twin", "1 if in the last minute two nodes had one name: the neighbour's or this one's."), func(l *Link) float64 { return truth(l.Twin) }),
	gauge(ofLink("topology_differs", "1 if the neighbour has another topology."), func(l *Link) float64 { return truth(l.Topology != "") }),
	gauge(ofLink("queue_reports", "Reports that wait to be told."), func(l *Link) float64 { return float64(l.Queued) }),
	sum(ofLink("reports_sent_total", "Reports told: those of clients here and those relayed."), func(l *Link) uint64 { return l.Told }),
	sum(ofLink("messages_sent_total", "Messages of reports sent."), func(l *Link) uint64 { return l.Messages }),
	sum(ofLink("reports_received_total", "Reports heard."), func(l *Link) uint64 { return l.Heard }),
	sum(ofLink("reports_stale_total", "Reports heard that were no news: older than what was known, or the same."), func(l *Link) uint64 { return l.Old }),
	sum(ofLink("reports_duplicate_total", "Reports heard that were known to the letter: most had come by another way."), func(l *Link) uint64 { return l.Duplicates }),
	sum(ofLink("reports_conflated_total", "Reports not told because a newer one of the client took their place."), func(l *Link) uint64 { return l.Conflated }),
	sum(ofLink("reports_emptied_total", "Reports thrown away because too many waited or the bus was away; repair brings them."), func(l *Link) uint64 { return l.Emptied }),
	sum(ofLink("messages_missing_total", "Messages of the neighbour that were lost."), func(l *Link) uint64 { return l.Gaps }),
	sum(ofLink("messages_repeated_total", "Messages of the neighbour that had been heard before."), func(l *Link) uint64 { return l.Repeated }),
	sum(ofLink("repairs_total", "Repairs from this neighbour that ended."), func(l *Link) uint64 { return l.Walks }),
	sum(ofLink("repairs_given_up_total", "Repairs that got no answers; they are begun anew."), func(l *Link) uint64 { return l.GivenUp }),
	sum(ofLink("repair_reports_total", "Reports that repairs brought."), func(l *Link) uint64 { return l.Pulled }),
	sum(ofLink("repair_news_total", "Reports that repairs brought and that were news."), func(l *Link) uint64 { return l.PulledNew }),
	sum(ofLink("repair_received_bytes_total", "Questions and answers of repair heard."), func(l *Link) uint64 { return l.RepairIn }),
	sum(ofLink("repair_sent_bytes_total", "Questions and answers of repair sent."), func(l *Link) uint64 { return l.RepairOut }),
	sum(ofLink("repair_questions_dropped_total", "Questions of the neighbour thrown away because too many waited."), func(l *Link) uint64 { return l.Unread }),
	sum(ofLink("twin_signs_total", "Signs that two nodes have one name: the neighbour's or this one's."), func(l *Link) uint64 { return l.Twins }),
}

// digestFigures are there once digests could be compared.
var digestFigures = []figure[Link]{
	gauge(ofLink("digest_equal", "1 if both ends knew the same when they could be compared last, which is not while reports are under way."), func(l *Link) float64 { return truth(*l.Equal) }),
	gauge(ofLink("digest_compared_seconds", "Since both ends could be compared last."), func(l *Link) float64 { return *l.Compared }),
}

var storeFigures = []figure[Store]{
	gauge(ofNode("store_waiting_reports", "Reports that wait for the disk."), func(s *Store) float64 { return float64(s.Waiting) }),
	gauge(ofNode("store_lag_seconds", "For how long the first report that waits for the disk has been waiting, at most."), func(s *Store) float64 { return s.Lag }),
}

var placesFigures = []figure[Provider]{
	{
		ofPlaces("call_seconds_total", "Time that questions to the provider took together."), prometheus.CounterValue,
		func(p *Provider) float64 { return p.Seconds },
	},
	sum(ofPlaces("retries_total", "Attempts beyond the first of each question to the provider."), func(p *Provider) uint64 { return p.Retries }),
	sum(ofPlaces("remembered_total", "Answers that were remembered, so that the provider was not asked."), func(p *Provider) uint64 { return p.Hits }),
	sum(ofPlaces("joined_total", "Questions that waited for the same one, which was under way."), func(p *Provider) uint64 { return p.Joined }),
	sum(ofPlaces("fallbacks_total", "Answers of the fallback in the provider's place."), func(p *Provider) uint64 { return p.Fell }),
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
