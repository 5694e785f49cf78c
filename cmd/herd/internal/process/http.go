package process

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"

	"herd/configs"
	"herd/configs/secret"
	"herd/node/status"
)

// minToken is the least number of characters of a token, so that nobody guesses one.
const minToken = 16

// httpConfig returns what a node serves over HTTP on l, and to whom.
func httpConfig(config *configs.Config, n configs.Node, l net.Listener) (status.Config, error) {
	o := status.Config{Open: config.HTTP.Open, Pprof: config.HTTP.Pprof, Hosts: items(config.HTTP.Hosts)}
	if host, _, err := net.SplitHostPort(n.HTTP); err == nil && host != "" {
		o.Hosts = append(o.Hosts, host)
	}
	var err error
	if o.Token, err = HTTPToken(config); err != nil {
		return o, err
	}
	to, ok := l.Addr().(*net.TCPAddr)
	if o.Token == "" && !o.Open && !(ok && to.IP.IsLoopback()) {
		return o, fmt.Errorf("node %s: others can reach its status page at %s, and it asks for no token: put one into the variable HERD_HTTP_TOKEN "+
			"or a file named with --http-token-file, or let everybody look with --http-open, or listen on 127.0.0.1", n.Name, l.Addr())
	}
	return o, nil
}

// items returns the words of a list that commas divide.
func items(list string) (words []string) {
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// HTTPToken returns the token that the nodes require over HTTP, or "" if they require none.
func HTTPToken(config *configs.Config) (string, error) {
	token, err := secretText(config.HTTPToken(), "http.token_file", config.HTTP.TokenFile)
	switch {
	case err != nil:
		return "", err
	case token == "" && config.HTTP.TokenFile != "":
		return "", fmt.Errorf("http.token_file: %s is empty; write the token into it", config.HTTP.TokenFile)
	case token == "":
		return "", nil
	case !plain(token):
		return "", errors.New("the token for HTTP has blanks or characters in it that no header can have; make one with: openssl rand -hex 32")
	case len(token) < minToken:
		return "", fmt.Errorf("the token for HTTP has %d characters; it needs at least %d, so that nobody guesses it: make one with: openssl rand -hex 32",
			len(token), minToken)
	case config.HTTP.Open:
		return "", errors.New("http.open lets everybody look, and there is a token for HTTP as well; remove one of the two")
	}
	return token, nil
}

// secretText returns a secret: the value of its environment variable or, if that is empty, the content of the file at path, which is the value
// of a key of the configuration.
func secretText(value, key, path string) (string, error) {
	if value != "" || path == "" {
		return value, nil
	}
	text, err := secret.Read(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return string(bytes.TrimSpace(text)), nil
}

// plain reports whether a text is all printable ASCII without blanks.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
