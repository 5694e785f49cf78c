package upstream

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"herd/places"
)

// longestAlone bounds how long a provider can ask to be left alone.
const longestAlone = 24 * time.Hour

// RetryAfter returns how long from now on the value of a header Retry-After asks to
// wait, in seconds or as a date (RFC 9110, section 10.2.3): at most a day, and 0 if
// it is neither or is over.
func RetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil || seconds > uint64(longestAlone/time.Second) {
			return longestAlone
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(0, date.Sub(now)), longestAlone)
}

// leave notes that the provider wants to be left alone for err.After, because of err.
func (c *Client) leave(err *places.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until := time.Now().Add(err.After); until.After(c.alone) {
		c.alone, c.because = until, err
	}
}

// left returns how long the provider still wants to be left alone, and if it does why it is not asked.
func (c *Client) left() (time.Duration, *places.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := time.Until(c.alone)
	if d <= 0 {
		return 0, nil
	}
	return d, &places.Error{
		Status: c.because.Status, After: d,
		Err: fmt.Errorf("not asked for %v, as it wishes: %v", d.Round(time.Millisecond), c.because),
	}
}
