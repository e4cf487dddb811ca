package niyanta

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// Version is the version of this package.
const Version = "0.1.0"

const (
	defaultTimeout          = 30 * time.Second
	defaultMaxRetries       = 6
	defaultMaxOutage        = 5 * time.Minute
	defaultMaxResponseBytes = 64 << 20
)

// Client is a connection to the service, safe for use by many goroutines at once. Make one with [NewClient] and share
// it. It needs no closing.
type Client struct {
	// Workloads submits, reads, moves and watches workloads.
	Workloads *WorkloadsService
	// Configs sets workload types up.
	Configs *ConfigsService
	// Customer reads the account: limits, use, statistics.
	Customer *CustomerService
	// Tokens makes short-lived tokens of the key.
	Tokens *TokensService
	// Checkpoints lists, reads and pins what is kept of a workload.
	Checkpoints *CheckpointsService
	// Admin is for operators: workers, customers, who is in and what was done. It needs a key with the admin role.
	Admin *AdminService

	transport *transport
}

// NewClient returns a client that uses the API key; with "" it looks for one itself. It sends nothing yet: that address
// and key can't be found, or are no good, is what the first call returns.
func NewClient(apiKey string, options ...Option) *Client {
	settings := settings{
		timeout:          defaultTimeout,
		maxRetries:       defaultMaxRetries,
		maxOutage:        defaultMaxOutage,
		maxResponseBytes: defaultMaxResponseBytes,
		userAgent:        "niyanta-go/" + Version,
		backoff:          fullJitter,
		pingInterval:     20 * time.Second,
		longestQuiet:     45 * time.Second,
	}
	settings.httpClient, settings.ownTransport = newHTTPClient()
	for _, option := range options {
		option(&settings)
	}
	found := findCredentials(apiKey, settings.baseURL)
	if found.err == nil {
		found.err = settings.showCertificate(found.baseURL)
	}
	calls := &transport{settings: settings, credentials: found, apiKey: found.apiKey}
	adminCalls := &transport{settings: settings, credentials: found, apiKey: found.adminKey}
	return &Client{
		Workloads:   &WorkloadsService{calls},
		Configs:     &ConfigsService{calls},
		Customer:    &CustomerService{calls},
		Tokens:      &TokensService{calls},
		Checkpoints: &CheckpointsService{calls},
		Admin:       &AdminService{adminCalls},
		transport:   calls,
	}
}

// settings is what options set.
type settings struct {
	baseURL          string
	httpClient       *http.Client
	ownTransport     *http.Transport // that of the package's own client; nil of another
	timeout          time.Duration
	maxRetries       int
	maxOutage        time.Duration
	maxResponseBytes int64
	userAgent        string
	traceparent      func(context.Context) string
	backoff          func(attempt int) time.Duration
	// pingInterval is how often a quiet link is tried, and how long it may take to answer.
	pingInterval time.Duration
	// longestQuiet is how long nothing may come of a live feed, in which a sign of life comes every 15 seconds.
	longestQuiet time.Duration
}

// Option sets something for all calls of a client.
type Option func(*settings)

// WithBaseURL names the service, such as "https://api.niyanta.example.com"; "/v1" at its end is allowed.
func WithBaseURL(address string) Option { return func(s *settings) { s.baseURL = address } }

// WithHTTPClient uses another HTTP client than the package's own, for proxies, certificates or instrumentation. Its
// Timeout, if it has one, bounds one try of a call, and long polls and live feeds too.
func WithHTTPClient(client *http.Client) Option {
	return func(s *settings) { s.httpClient, s.ownTransport = client, nil }
}

// WithTLSConfig trusts another authority than the system's, or shows a certificate to a service that asks for one; one in
// it goes before that of the environment. It is for the package's own HTTP client: with WithHTTPClient, set it in the transport of that.
func WithTLSConfig(config *tls.Config) Option {
	return func(s *settings) {
		s.httpClient, s.ownTransport = newHTTPClient()
		s.ownTransport.TLSClientConfig = config.Clone()
	}
}

// WithMaxRetries sets how often a call is tried again where that is safe; 6 by default, 0 turns it off.
func WithMaxRetries(most int) Option { return func(s *settings) { s.maxRetries = max(0, most) } }

// WithTimeout sets how long one try of a call may take; 30 seconds by default. Pause and long polls get the time on
// top for which the service makes them wait.
func WithTimeout(most time.Duration) Option { return func(s *settings) { s.timeout = most } }

// WithMaxOutage sets how long Watch, WaitForCompletion, FollowLogs and Events put up with a service that can't be reached, once they have
// heard from it; 5 minutes by default, and 0 is as long as the context lasts.
func WithMaxOutage(most time.Duration) Option { return func(s *settings) { s.maxOutage = most } }

// WithMaxResponseBytes bounds the body of one answer; 64 MiB by default.
func WithMaxResponseBytes(most int64) Option { return func(s *settings) { s.maxResponseBytes = most } }

// WithUserAgent sets the header User-Agent.
func WithUserAgent(name string) Option { return func(s *settings) { s.userAgent = name } }

// WithTraceparent puts calls into traces: it returns the place of a call's context in one, as W3C Trace Context writes it
// in the header traceparent, or "" where there is none. With OpenTelemetry:
//
//	niyanta.WithTraceparent(func(ctx context.Context) string {
//		carrier := propagation.MapCarrier{}
//		propagation.TraceContext{}.Inject(ctx, carrier)
//		return carrier.Get("traceparent")
//	})
func WithTraceparent(of func(ctx context.Context) string) Option {
	return func(s *settings) { s.traceparent = of }
}

// callSettings is what call options set.
type callSettings struct {
	idempotencyKey string
	header         http.Header
}

// CallOption sets something for one call.
type CallOption func(*callSettings)

// WithIdempotencyKey gives a submission a key of yours, up to 255 printable ASCII characters. The same key with the same
// request gets the first answer again for 24 hours, also from another program. Other calls ignore it.
func WithIdempotencyKey(key string) CallOption {
	return func(s *callSettings) { s.idempotencyKey = key }
}

// WithHeader sets a header of the request, such as X-Request-ID.
func WithHeader(name, value string) CallOption {
	return func(s *callSettings) { s.header.Set(name, value) }
}

func callSettingsOf(options []CallOption) callSettings {
	found := callSettings{header: http.Header{}}
	for _, option := range options {
		option(&found)
	}
	return found
}

// newHTTPClient returns one with its transport, that keeps enough connections for many goroutines. It follows no redirects: they would
// turn a submission into a reading, and carry the key elsewhere.
func newHTTPClient() (*http.Client, *http.Transport) {
	connections := http.DefaultTransport.(*http.Transport).Clone()
	connections.MaxIdleConns = 256
	connections.MaxIdleConnsPerHost = 256
	return &http.Client{
		Transport:     connections,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, connections
}

// Health is the service's sign of life.
type Health struct {
	// Status is "healthy".
	Status    string    `json:"status"`
	Timestamp time.Time `json:"timestamp"`
}

// Readiness says whether the service can take traffic, and what it needs for it.
type Readiness struct {
	// Status is "ready" or "not_ready".
	Status       string       `json:"status"`
	Dependencies Dependencies `json:"dependencies"`
}

// IsReady reports whether the service can take traffic.
func (r *Readiness) IsReady() bool { return r.Status == "ready" }

// Dependencies is what the service needs.
type Dependencies struct {
	// Database is "connected" or "disconnected".
	Database string `json:"database"`
	// Broker is "connected" or "disconnected".
	Broker string `json:"broker"`
	// LeaderElected: one of the coordinators leads, so workloads are assigned.
	LeaderElected bool `json:"leader_elected"`
}

// Health asks whether the service lives. It needs no key and isn't tried again.
func (c *Client) Health(ctx context.Context, options ...CallOption) (*Health, error) {
	return send[Health](ctx, c.transport, call{method: http.MethodGet, path: "/health", public: true}, options)
}

// Ready asks whether the service can take traffic. That it can't is no error. It needs no key and isn't tried again.
func (c *Client) Ready(ctx context.Context, options ...CallOption) (*Readiness, error) {
	found, err := send[Readiness](ctx, c.transport, call{method: http.MethodGet, path: "/ready", public: true}, options)
	var failure *APIError
	if errors.As(err, &failure) && failure.StatusCode == http.StatusServiceUnavailable {
		var notReady Readiness
		if json.Unmarshal(failure.body, &notReady) == nil && notReady.Status != "" {
			return &notReady, nil
		}
	}
	return found, err
}
