package niyanta

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

const testKey = "nyt_cust_a_key"

// service answers each call with what a test has put there, in order; the last answer stays.
type service struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	answers  map[string][]http.HandlerFunc
	requests []request
}

// request is one that the service got.
type request struct {
	call   string // such as "GET /workloads/wl_1?limit=5"
	header http.Header
	body   string
}

func newService(t *testing.T) *service {
	s := &service{t: t, answers: map[string][]http.HandlerFunc{}}
	s.Server = httptest.NewServer(http.HandlerFunc(s.handle))
	t.Cleanup(s.CloseClientConnections)
	t.Cleanup(s.Close)
	return s
}

// on sets the answers to a method and a path below /v1, as in "GET /customer".
func (s *service) on(call string, answers ...http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[call] = answers
}

func (s *service) handle(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/v1")
	key := r.Method + " " + path
	whole := key
	if r.URL.RawQuery != "" {
		whole += "?" + r.URL.RawQuery
	}
	s.mu.Lock()
	s.requests = append(s.requests, request{whole, r.Header.Clone(), string(body)})
	answers := s.answers[key]
	if len(answers) > 1 {
		s.answers[key] = answers[1:]
	}
	s.mu.Unlock()
	if len(answers) == 0 {
		fails(http.StatusNotFound, "NOT_FOUND")(w, r)
		return
	}
	answers[0](w, r)
}

// got returns the requests so far.
func (s *service) got() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}

// client returns one of this service that waits for nothing between its tries.
func (s *service) client(options ...Option) *Client {
	immediately := func(s *settings) { s.backoff = func(int) time.Duration { return 0 } }
	return NewClient(testKey, append([]Option{WithBaseURL(s.URL), immediately}, options...)...)
}

func gives(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func fails(status int, code string, header ...string) http.HandlerFunc {
	body, _ := json.Marshal(map[string]any{"error": map[string]any{
		"code": code, "message": "No.", "details": map[string]any{"field": "x"}, "request_id": "req_1",
	}})
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		gives(status, string(body))(w, r)
	}
}

// breaks ends the connection without an answer.
func breaks(w http.ResponseWriter, _ *http.Request) {
	link, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = link.Close()
	}
}

// breaksOff ends the connection in the middle of the answer.
func breaksOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "100")
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, `{"workload_id": `)
	panic(http.ErrAbortHandler)
}

// hangs gives no answer while the caller waits for one.
func hangs(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// sends serves a WebSocket that sends the messages and then ends as a service does that goes away.
func sends(messages ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		link, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = link.CloseNow() }()
		for _, message := range messages {
			if link.Write(r.Context(), websocket.MessageText, []byte(message)) != nil {
				return
			}
		}
		_ = link.Close(websocket.StatusGoingAway, "")
	}
}

// streams gives an answer piece by piece, and ends it as a service does that goes away.
func streams(kind string, pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		for _, piece := range pieces {
			_, _ = io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
	}
}
