package niyanta

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	firstBackoff   = 250 * time.Millisecond
	longestBackoff = 8 * time.Second
	// Who is told to wait for longer than this is told at once, instead of after an hour without a word.
	longestRetryAfter = 5 * time.Minute
	// What is read of an answer that isn't a success.
	maxErrorBytes = 1 << 20
)

// call is one call of the API, however many tries it takes.
type call struct {
	method string
	path   string // below /v1
	query  url.Values
	body   any // sent as JSON; none when nil
	// safe: a second time changes nothing, so it may be tried again after 502, 503, 504 and broken links. After 429
	// any call may: what the rate limit refuses hasn't been begun.
	safe bool
	// keyed: it goes with an idempotency key, made when the caller gives none.
	keyed bool
	// public: no key is needed, and the first answer is the answer.
	public bool
	// waits is for how long the service may hold the answer back.
	waits time.Duration
	// once: the caller does the repeating.
	once bool
}

// transport is the one place that talks to the service over HTTP.
type transport struct {
	settings
	credentials credentials
	apiKey      secret
}

// send makes the call and returns its decoded answer.
func send[T any](ctx context.Context, t *transport, c call, options []CallOption) (*T, error) {
	var found T
	if err := t.call(ctx, c, options, &found); err != nil {
		return nil, err
	}
	return &found, nil
}

// quoted makes an id a part of a path. Those of "." and ".." are quoted too, so that nothing takes them for folders.
func quoted(id string) string {
	if id == "." || id == ".." {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}

// call does it, with as many tries as are allowed, and decodes the answer into found; not when that is nil.
func (t *transport) call(ctx context.Context, c call, options []CallOption, found any) error {
	if err := t.usable(c.public); err != nil {
		return err
	}
	header, body, err := t.prepare(c, options)
	if err != nil {
		return err
	}
	return t.repeat(ctx, c, func() error {
		answer, err := t.try(ctx, c, header, body)
		if err != nil {
			return err
		}
		return decode(answer, found)
	})
}

// repeat tries a call as often as is allowed.
func (t *transport) repeat(ctx context.Context, c call, try func() error) error {
	maxRetries := t.maxRetries
	if c.once || c.public {
		maxRetries = 0
	}
	unknown := false // whether an earlier try may have been done without our hearing of it
	for attempt := 0; ; attempt++ {
		err := try()
		if err == nil {
			return nil
		}
		if c.method == http.MethodDelete && unknown && errors.Is(err, ErrNotFound) {
			return nil // the earlier try removed it
		}
		pause, again := t.repeatAfter(err, c.safe, attempt)
		if !again || attempt >= maxRetries {
			return err
		}
		unknown = unknown || !errors.Is(err, ErrRateLimited)
		if err := sleepOr(ctx, pause, err); err != nil {
			return err
		}
	}
}

// usable returns what keeps every call from being made.
func (t *transport) usable(public bool) error {
	if t.credentials.err != nil {
		return t.credentials.err
	}
	if t.apiKey == nil && !public {
		return fmt.Errorf("%w: no API key: give one to NewClient or set NIYANTA_API_KEY", ErrConfiguration)
	}
	return nil
}

// prepare makes header and body, the same for every try.
func (t *transport) prepare(c call, options []CallOption) (http.Header, []byte, error) {
	given := callSettingsOf(options)
	header := http.Header{"User-Agent": {t.userAgent}, "Accept": {"application/json"}}
	if t.apiKey != nil {
		header.Set("Authorization", "Bearer "+t.apiKey())
	}
	if c.keyed {
		if given.idempotencyKey == "" {
			given.idempotencyKey = newIdempotencyKey()
		}
		header.Set("Idempotency-Key", given.idempotencyKey)
	}
	var body []byte
	if c.body != nil {
		var err error
		if body, err = json.Marshal(c.body); err != nil {
			return nil, nil, fmt.Errorf("niyanta: the request can't be written as JSON: %w", err)
		}
		header.Set("Content-Type", "application/json")
	}
	for name, values := range given.header {
		header[name] = values
	}
	for name, values := range header {
		if unprintable(values[0]) || name == "" || strings.ContainsAny(name, " \t\r\n:") {
			return nil, nil, fmt.Errorf("%w: the header %q can't be %q", ErrConfiguration, name, values[0])
		}
	}
	return header, body, nil
}

// try sends the request once. Its error is an *APIError, a *ConnectionError, one of ErrMalformedAnswer, or the
// context's.
func (t *transport) try(ctx context.Context, c call, header http.Header, body []byte) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, t.timeout+c.waits)
	defer cancel()
	request, err := t.newRequest(bounded, c, header, body)
	if err != nil {
		return nil, err
	}
	response, err := t.httpClient.Do(request)
	if err != nil {
		return nil, t.broken(ctx, bounded, err)
	}
	defer response.Body.Close()
	success := response.StatusCode >= 200 && response.StatusCode < 300
	most := t.maxResponseBytes
	if !success {
		most = min(most, maxErrorBytes)
	}
	answer, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err != nil {
		return nil, t.broken(ctx, bounded, err)
	}
	if !success {
		return nil, newAPIError(response.StatusCode, response.Header, answer, time.Now())
	}
	if int64(len(answer)) > most {
		return nil, fmt.Errorf("%w: its body has more than %d bytes", ErrMalformedAnswer, most)
	}
	return answer, nil
}

// newRequest makes the request of one try.
func (t *transport) newRequest(ctx context.Context, c call, header http.Header, body []byte) (*http.Request, error) {
	address := t.credentials.baseURL + "/v1" + c.path
	if query := c.query.Encode(); query != "" {
		address += "?" + query
	}
	request, err := http.NewRequestWithContext(ctx, c.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfiguration, err)
	}
	request.Header = header.Clone()
	if t.traceparent != nil && request.Header.Get("Traceparent") == "" {
		if place := t.traceparent(ctx); place != "" {
			request.Header.Set("Traceparent", place)
		}
	}
	return request, nil
}

// broken tells the caller's own end of the context from a link that broke and a try that took too long.
func (t *transport) broken(ctx, bounded context.Context, err error) error {
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	if bounded.Err() != nil {
		err = errors.New("no answer in time")
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // method and address are said already, and the query is nobody's business
	}
	return &ConnectionError{URL: t.credentials.baseURL, Err: err}
}

// contextError says that the caller's context ended the call, and why.
func contextError(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("niyanta: %w: %w", ctx.Err(), cause)
	}
	return fmt.Errorf("niyanta: %w", ctx.Err())
}

func decode(answer []byte, found any) error {
	if found == nil {
		return nil
	}
	if err := json.Unmarshal(answer, found); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformedAnswer, err)
	}
	return nil
}

// repeatAfter decides whether a call may be tried again after err, and after which pause.
func (t *transport) repeatAfter(err error, safe bool, attempt int) (pause time.Duration, again bool) {
	var failure *APIError
	var broken *ConnectionError
	switch {
	case errors.As(err, &failure):
		switch failure.StatusCode {
		case http.StatusTooManyRequests:
			again = true
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			again = safe
		}
		return failure.RetryAfter + t.backoff(attempt), again && failure.RetryAfter <= longestRetryAfter
	case errors.As(err, &broken):
		return t.backoff(attempt), safe && !broken.staysBroken()
	}
	return 0, false
}

// fullJitter returns a pause with full jitter: anything up to a bound that doubles with each try, so that many who failed
// together don't come back together.
func fullJitter(attempt int) time.Duration {
	bound := longestBackoff
	if attempt < 5 {
		bound = firstBackoff << attempt
	}
	return mathrand.N(bound)
}

// sleepOr waits; where the context's deadline would come before the pause is over, it returns the failure at once.
func sleepOr(ctx context.Context, pause time.Duration, failure error) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < pause {
		return failure
	}
	return sleep(ctx, pause)
}

// sleep waits; it returns early with the context's error.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
}

// newIdempotencyKey returns a random UUID (RFC 9562, version 4).
func newIdempotencyKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, says crypto/rand
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
