package niyanta

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"
)

const downloadCall = "GET /workloads/wl_1/checkpoints/3"

func TestTheOpeningOfADownloadIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(downloadCall, breaks, fails(503, "SERVICE_UNAVAILABLE"), streams("application/octet-stream", "\x00\x01", "\xff"))
	found, err := s.client().Checkpoints.Download(context.Background(), "wl_1", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	if saved, err := io.ReadAll(found); err != nil || string(saved) != "\x00\x01\xff" {
		t.Errorf("%q %v", saved, err)
	}
	if got := s.got(); len(got) != 3 || got[2].header.Get("Accept") != "*/*" {
		t.Errorf("%+v", got)
	}
}

func TestADownloadThatIsRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	found, err := s.client().Checkpoints.Download(context.Background(), "wl_1", 3)
	var failure *APIError
	if !errors.Is(err, ErrNotFound) || !errors.As(err, &failure) || failure.RequestID != "req_1" || found != nil || len(s.got()) != 1 {
		t.Error(found, err)
	}
	if _, err := NewClient("nyt_x", WithBaseURL("nowhere")).Checkpoints.Download(context.Background(), "wl_1", 3); !errors.Is(err, ErrConfiguration) {
		t.Error(err)
	}
}

func TestADownloadThatBreaksSaysSo(t *testing.T) {
	t.Parallel()
	stalls := func(w http.ResponseWriter, r *http.Request) {
		streams("application/octet-stream", "some")(w, r)
		<-r.Context().Done()
	}
	cut := func(w http.ResponseWriter, r *http.Request) {
		streams("application/octet-stream", "some")(w, r)
		panic(http.ErrAbortHandler)
	}
	short := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		cut(w, r)
	}
	for name, answer := range map[string]http.HandlerFunc{"cut": cut, "too short": short, "stalled": stalls} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.on(downloadCall, answer)
			found, err := s.client(WithTimeout(200*time.Millisecond)).Checkpoints.Download(context.Background(), "wl_1", 3)
			if err != nil {
				t.Fatal(err)
			}
			defer found.Close()
			var broken *ConnectionError
			if _, err := io.ReadAll(found); !errors.As(err, &broken) || broken.URL != s.URL {
				t.Error(err)
			}
		})
	}
}

func TestADownloadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.on(downloadCall, func(w http.ResponseWriter, r *http.Request) {
		streams("application/octet-stream", "some")(w, r)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	found, err := s.client().Checkpoints.Download(ctx, "wl_1", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	if _, err := io.ReadFull(found, make([]byte, 4)); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := io.ReadAll(found); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
