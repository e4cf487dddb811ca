package niyanta

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/coder/websocket"
)

const (
	// A result may have 1 MiB, and each of its characters six bytes when it is escaped.
	maxMessageBytes = 16 << 20
	// How many updates may wait for a caller that is busy, before the service is made to wait.
	updatesAhead = 64
)

// errNoSocket says that no update came by WebSocket, for a reason that a poll will find out.
var errNoSocket = errors.New("niyanta: no WebSocket")

// followSocket gives the updates of one WebSocket to its end. It returns nil when some came and errNoSocket when none
// did.
func (w *watch) followSocket(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	transport := w.transport
	if err := transport.usable(false); err != nil {
		return err
	}
	header, _, err := transport.prepare(call{}, w.options)
	if err != nil {
		return err
	}
	link, err := transport.dial(ctx, "/ws"+workloadPath(w.workloadID, ""), &websocket.DialOptions{
		HTTPClient: transport.httpClient,
		HTTPHeader: header,
	})
	if err != nil {
		return err
	}
	defer func() { _ = link.CloseNow() }()
	link.SetReadLimit(maxMessageBytes)

	updates := make(chan *Update, updatesAhead)
	go receive(ctx, link, updates)
	go keepAlive(ctx, link, updates, transport.pingInterval)
	heard := false
	for update := range updates {
		heard = true
		w.noSockets = 0
		w.reached()
		if w.give(update); w.ended {
			return nil
		}
	}
	if !heard {
		return errNoSocket
	}
	w.reached() // a link may have been quiet for long before it broke
	// The service that closed it may be going down; many watchers shall not come back at the same instant.
	return sleep(ctx, transport.backoff(0))
}

// dial opens a WebSocket. The reason why there is none isn't looked into: where it is the credentials, the workload or
// the service, a poll says so in more detail.
func (t *transport) dial(ctx context.Context, path string, options *websocket.DialOptions) (*websocket.Conn, error) {
	bounded, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	link, _, err := websocket.Dial(bounded, t.credentials.baseURL+"/v1"+path, options)
	if err == nil {
		return link, nil
	}
	if ctx.Err() != nil {
		return nil, contextError(ctx)
	}
	return nil, errNoSocket
}

// receive reads updates until the link ends, one way or the other, and then closes the channel.
func receive(ctx context.Context, link *websocket.Conn, updates chan<- *Update) {
	defer close(updates)
	for {
		_, message, err := link.Read(ctx)
		if err != nil {
			return
		}
		var update Update
		if json.Unmarshal(message, &update) != nil {
			return
		}
		select {
		case updates <- &update:
		case <-ctx.Done():
			return
		}
	}
}

// keepAlive ends a link on which nothing comes back any more. Answers to pings are seen only while receive reads, so
// a caller that is behind is left in peace: its link has just brought something.
func keepAlive(ctx context.Context, link *websocket.Conn, updates <-chan *Update, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if len(updates) == cap(updates) {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, interval)
		err := link.Ping(bounded)
		cancel()
		if err != nil && len(updates) < cap(updates) {
			_ = link.CloseNow()
			return
		}
	}
}
