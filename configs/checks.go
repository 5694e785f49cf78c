package configs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"herd/node/line"
	"herd/node/topology"
)

// parse parses the text of a flag, a variable or a YAML scalar as a value of the key, and checks it. The error says what to write instead,
// and does not show a secret.
func (k key) parse(text string) (any, error) {
	switch k.kind() {
	case "duration":
		d, err := parseDuration(text)
		switch {
		case err != nil:
		case k.is == "positive" && d == 0:
			err = fmt.Errorf("%s is too small; write for example 2s", quote(text))
		case k.is == "pace" && (d < leastEvery || d > mostEvery):
			err = fmt.Errorf("%s is not 100ms to 24h", quote(text))
		}
		return d, err
	case "number":
		n, err := parseNumber(text)
		if err == nil && n == 0 && k.is == "positive" {
			err = fmt.Errorf("%s is too small; write at least 1", quote(text))
		}
		return n, err
	case "bool":
		return parseBool(text)
	default:
		if check := checks[k.is]; check != nil {
			return text, check(text)
		}
		return text, nil
	}
}

// The bounds of every: windows that end more often would cost more than they save.
const (
	leastEvery = 100 * time.Millisecond
	mostEvery  = 24 * time.Hour
)

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil && bareForm.MatchString(text):
		return 0, fmt.Errorf("%s has no unit; write for example 30s, 5m or 24h", quote(text))
	case err != nil:
		return 0, fmt.Errorf("%s is not a duration; write for example 500ms, 30s, 5m or 24h", quote(text))
	case d < 0:
		return 0, fmt.Errorf("%s is negative; write 0 or more", quote(text))
	}
	return d, nil
}

func parseNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("%s is out of range", quote(text))
	case err != nil:
		return 0, fmt.Errorf("%s is not a whole number", quote(text))
	case n < 0:
		return 0, fmt.Errorf("%s is negative; write 0 or more", quote(text))
	}
	return n, nil
}

func parseBool(text string) (bool, error) {
	if text != "true" && text != "false" {
		return false, fmt.Errorf("%s is not true or false", quote(text))
	}
	return text == "true", nil
}

const notCollector = "is not the URL of a collector; write for example http://127.0.0.1:4318"

// checks are the checks of texts, by the name in the tag is.
var checks = map[string]func(string) error{
	"name":            checkName,
	"address":         checkAddress,
	"address or none": orNone(checkAddress),
	"servers or none": orNone(checkServers),
	"clients":         oneOf("none", "require"),
	"provider":        oneOf("gazetteer", "file", "google", "google-legacy", "overpass"),
	"endpoint or none": orNone(checkURL(
		"is not a URL; write https://HOST or https://HOST/PATH",
		"has more than host and path; write https://HOST/PATH, and a key into a file or HERD_PLACES_KEY")),
	"collector or none": orNone(checkURL(notCollector, notCollector)),
	"fields":            checkFields,
	"hosts or none":     orNone(checkHosts),
	"fallback":          oneOf("gazetteer", "none"),
	"mode":              oneOf("interval", "always"),
	"observe":           oneOf("auto", "on", "off"),
	"level":             oneOf("debug", "info", "warn", "error"),
	"format":            oneOf("console", "json"),
}

func orNone(check func(string) error) func(string) error {
	return func(text string) error {
		if text == "" {
			return nil
		}
		return check(text)
	}
}

func oneOf(words ...string) func(string) error {
	return func(text string) error {
		if slices.Contains(words, text) {
			return nil
		}
		return fmt.Errorf("%s is not one of %s", quote(text), strings.Join(words, ", "))
	}
}

var (
	nameForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
	bareForm = regexp.MustCompile(`^[+-]?[0-9.]+$`)
	hostForm = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)
)

func checkName(text string) error {
	if !nameForm.MatchString(text) {
		return fmt.Errorf("%s is not a name; write 1 to 32 letters, digits, _ or -", quote(text))
	}
	return nil
}

func checkAddress(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return fmt.Errorf("%s is not HOST:PORT; write for example 127.0.0.1:12125", quote(text))
	}
	if _, err := netip.ParseAddr(host); err != nil && !hostForm.MatchString(host) {
		return fmt.Errorf("%s has no valid host; write a host name or an IP address before the port", quote(text))
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%s has no valid port; write a number from 0 to 65535 after the host", quote(text))
	}
	return nil
}

// checkURL returns a check of a URL over HTTP of a host and a path. The error is invalid, or excess if the URL has more than these; it does
// not show the URL, which may hold a key or a password.
func checkURL(invalid, excess string) func(string) error {
	return func(text string) error {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			return errors.New(invalid)
		case u.User != nil || strings.ContainsAny(text, "?#"):
			return errors.New(excess)
		}
		return nil
	}
}

var checkField = oneOf("rating", "userRatingCount", "priceLevel", "currentOpeningHours")

func checkFields(text string) error {
	for field := range strings.SplitSeq(text, ",") {
		if err := checkField(strings.TrimSpace(field)); err != nil && text != "" {
			return err
		}
	}
	return nil
}

func checkHosts(text string) error {
	for host := range strings.SplitSeq(text, ",") {
		host = strings.TrimSpace(host)
		if _, err := netip.ParseAddr(host); err != nil && (host == "" || !hostForm.MatchString(host)) {
			return fmt.Errorf("%s is not a host; write names or IP addresses without ports, with commas between", quote(host))
		}
	}
	return nil
}

// checkServers reports the first faulty server by its position, because its text may hold a password.
func checkServers(text string) error {
	for i, server := range strings.Split(text, ",") {
		if fault := checkServer(strings.TrimSpace(server)); fault != "" {
			return fmt.Errorf("server %d %s", i+1, fault)
		}
	}
	return nil
}

func checkServer(server string) string {
	u, err := url.Parse(server)
	switch {
	case server == "":
		return "is empty; remove the comma"
	case err != nil:
		return "is not a URL; write nats://HOST:PORT, and special characters of a password as %XX"
	case u.Scheme != "nats" && u.Scheme != "tls":
		return "is of another scheme than nats and tls; write nats://HOST:PORT"
	case u.Hostname() == "":
		return "has no host; write " + u.Scheme + "://HOST:PORT"
	case u.Path != "" || strings.ContainsAny(server, "?#"):
		return "goes on after its host and port; remove that, and write special characters of a password as %XX"
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "has no valid port; write a number from 1 to 65535, or none for 4222"
		}
	}
	return ""
}

// redact replaces user, password and token in a valid bus.url by ***.
func redact(servers string) string {
	list := strings.Split(servers, ",")
	for i, server := range list {
		if at := strings.LastIndexByte(server, '@'); at >= 0 {
			scheme, _, _ := strings.Cut(server, "://")
			list[i] = scheme + "://***" + server[at:]
		}
	}
	return strings.Join(list, ",")
}

// buildTopology sets the topology, and returns its faults and those of the addresses taken together.
func (c *Config) buildTopology() []fault {
	faults := c.clashes()
	names := make([]line.NodeName, len(c.Nodes))
	for i, n := range c.Nodes {
		names[i] = n.Name
	}
	links := make([][2]line.NodeName, len(c.Links))
	var paces []topology.Pace
	for i, l := range c.Links {
		links[i] = l.Ends
		for j, every := range l.Every {
			if every > 0 {
				paces = append(paces, topology.Pace{From: l.Ends[j], To: l.Ends[1-j], Every: every})
			}
		}
	}
	var err error
	c.topology, err = topology.New(names, links, paces...)
	if err != nil { // each of its errors is a line, see errors.Join
		for text := range strings.SplitSeq(err.Error(), "\n") {
			faults = append(faults, fault{source: c.sources["links"], key: "nodes and links", text: text})
		}
	}
	return faults
}

// clashes returns a fault for every address that two servers have.
func (c *Config) clashes() []fault {
	var faults []fault
	used := make(map[string]string) // key by canonical address
	use := func(at, address string) {
		address, written := canonical(address), address
		other, clash := used[address]
		switch {
		case address == "":
		case clash:
			text := fmt.Sprintf("%s is the address of %s too; give each its own", quote(written), other)
			faults = append(faults, fault{source: c.sources["nodes"], key: at, text: text})
		default:
			used[address] = at
		}
	}
	for i, n := range c.Nodes {
		use(fmt.Sprintf("nodes[%d].listen", i), n.Listen)
		use(fmt.Sprintf("nodes[%d].http", i), n.HTTP)
	}
	return faults
}

// dependencies returns a fault for every value that needs or excludes another one. A section of which a value is faulty is not checked.
func (c *Config) dependencies(known []fault) []fault {
	var faults []fault
	check := func(wrong bool, cause, at, text string) {
		section, _, _ := strings.Cut(at, ".")
		if wrong && !slices.ContainsFunc(known, func(f fault) bool { return strings.HasPrefix(f.key, section+".") }) {
			faults = append(faults, fault{source: c.sources[cause], key: at, text: text})
		}
	}
	check(c.Places.Provider == "overpass" && c.Places.Endpoint == "", "places.provider", "places.endpoint",
		"overpass needs one, for public instances are not meant for this; give the URL of yours, which ends in /api")
	check(c.Places.Provider == "file" && c.Places.File == "", "places.provider", "places.file",
		"the provider file needs one; make it with 'herd places import'")
	require := c.TLS.Clients == "require"
	check(c.TLS.Cert != "" && c.TLS.Key == "", "tls.cert", "tls.cert", "has no private key; give its file as tls.key too")
	check(c.TLS.Key != "" && c.TLS.Cert == "", "tls.key", "tls.key", "has no certificate; give its file as tls.cert too")
	check(require && c.TLS.Cert == "", "tls.clients", "tls.clients",
		"require needs TLS; give the server's certificate and key as tls.cert and tls.key")
	check(require && c.TLS.CA == "", "tls.clients", "tls.clients",
		"require needs to know whose certificates count; give the file of their CAs as tls.ca")
	check(!require && c.TLS.CA != "", "tls.ca", "tls.ca",
		"has no effect while no client needs a certificate; set tls.clients to require, or remove it")
	return faults
}

// canonical returns an address in a form that is the same for equal addresses, or "" if no other can have it: it is empty, or its
// port is 0, any free one.
func canonical(address string) string {
	host, port, err := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port) // a port that is not a number is a fault already
	if err != nil || number == 0 {
		return ""
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.Itoa(number))
}
