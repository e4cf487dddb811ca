package niyanta

import (
	"context"
	"time"
)

// patience is what a caller who follows something has with a service that can't be reached.
type patience struct {
	transport *transport
	heard     time.Time // when the service was heard of last; zero before the first time
	failures  int       // how often in a row it wasn't reached
}

// reached notes that the service was heard of.
func (p *patience) reached() {
	p.heard, p.failures = time.Now(), 0
}

// endure waits out a failure that may pass, or returns it. Before the service was heard of for the first time, it may
// fail as often as any call; then for as long as an outage may last.
func (p *patience) endure(ctx context.Context, err error) error {
	pause, again := p.transport.repeatAfter(err, true, p.failures)
	if !again {
		return err
	}
	p.failures++
	if p.heard.IsZero() {
		if p.failures > p.transport.maxRetries {
			return err
		}
	} else if p.transport.maxOutage > 0 && time.Since(p.heard) > p.transport.maxOutage {
		return err
	}
	return sleepOr(ctx, pause, err)
}
