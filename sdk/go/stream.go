package niyanta

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// stream is the body of an answer that is read as it comes, for as long as its context lasts.
type stream struct {
	transport *transport
	ctx       context.Context // the caller's
	bounded   context.Context // ends as well when nothing comes for too long, or with Close
	cancel    context.CancelFunc
	quiet     *time.Timer
	longest   time.Duration
	header    http.Header
	body      io.ReadCloser
}

// open makes a call whose answer is read as it comes; longest is how long nothing may come of it. Its errors are those of
// try.
func (t *transport) open(ctx context.Context, c call, accept string, longest time.Duration, options []CallOption) (*stream, error) {
	if err := t.usable(false); err != nil {
		return nil, err
	}
	header, body, err := t.prepare(c, options)
	if err != nil {
		return nil, err
	}
	header.Set("Accept", accept)
	bounded, cancel := context.WithCancel(ctx)
	request, err := t.newRequest(bounded, c, header, body)
	if err != nil {
		cancel()
		return nil, err
	}
	quiet := time.AfterFunc(t.timeout, cancel)
	response, err := t.httpClient.Do(request)
	quiet.Stop()
	if err != nil {
		err = t.broken(ctx, bounded, err)
		cancel()
		return nil, err
	}
	found := &stream{
		transport: t, ctx: ctx, bounded: bounded, cancel: cancel, quiet: quiet, longest: longest,
		header: response.Header, body: response.Body,
	}
	if response.StatusCode == http.StatusOK {
		return found, nil
	}
	defer found.Close()
	answer, err := io.ReadAll(io.LimitReader(found, maxErrorBytes))
	if err != nil {
		return nil, err
	}
	return nil, newAPIError(response.StatusCode, response.Header, answer, time.Now())
}

// Read gives what has come. Only waiting for the service counts as quiet, not what the caller does between.
func (s *stream) Read(into []byte) (int, error) {
	s.quiet.Reset(s.longest)
	n, err := s.body.Read(into)
	s.quiet.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.transport.broken(s.ctx, s.bounded, err)
	}
	return n, err
}

// Close ends it.
func (s *stream) Close() error {
	s.quiet.Stop()
	s.cancel()
	return s.body.Close()
}
