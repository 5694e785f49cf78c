package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"herd/node/status"
)

const maxHealth = 1 << 20 // bytes of an answer that are read

// probes requests health through no proxy, and follows no redirect.
var probes = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Health returns the health of the node whose address for HTTP is given. To a client without the node's token, if it has one, it says only
// whether it is ready.
func Health(ctx context.Context, address, token string) (h status.Health, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return h, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := probes.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok && !failed.Timeout() {
		return h, fmt.Errorf("%s: %s", address, Reason(failed.Err))
	}
	if err != nil {
		return h, fmt.Errorf("%s: no answer in time", address)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealth))
	var minimal struct{ Ready *bool }
	switch {
	case err != nil:
		return h, fmt.Errorf("%s: %s", address, Reason(err))
	case response.StatusCode == http.StatusMisdirectedRequest:
		return h, fmt.Errorf("%s: it is not reached by that name; list the name in its http.hosts, or give its address", address)
	case response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable,
		json.Unmarshal(body, &minimal) != nil, minimal.Ready == nil, json.Unmarshal(body, &h) != nil:
		return status.Health{}, fmt.Errorf("%s: not a node of a herd, it answers %s", address, response.Status)
	}
	return h, nil
}
