package niyanta

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// CheckpointsService lists, reads and pins the checkpoints that are kept of a workload.
type CheckpointsService struct{ transport *transport }

// Checkpoint is what is known of one.
type Checkpoint struct {
	// Sequence counts from 1 within the workload.
	Sequence int `json:"sequence"`
	// Attempt saved it, from 1; 0: taken over from another workload.
	Attempt   int   `json:"attempt"`
	SizeBytes int64 `json:"size_bytes"`
	// Encoding is json or bytes.
	Encoding string `json:"encoding"`
	// SHA256 is of what the handler saved, in hexadecimal.
	SHA256          string `json:"sha256"`
	ProgressPercent int    `json:"progress_percent"`
	// WorkerID saved it, where that was noted.
	WorkerID  *string   `json:"worker_id"`
	CreatedAt time.Time `json:"created_at"`
	// Pinned: it is kept, however many come after it.
	Pinned bool `json:"pinned"`
	// InObjectStore: nothing can be sent back to it unless it is the last.
	InObjectStore bool `json:"in_object_store"`
}

// CheckpointList holds all that are kept of a workload, the newest first.
type CheckpointList struct {
	WorkloadID  string        `json:"workload_id"`
	Checkpoints []*Checkpoint `json:"checkpoints"`
}

// List returns all that are kept.
func (s *CheckpointsService) List(ctx context.Context, workloadID string, options ...CallOption) (*CheckpointList, error) {
	return send[CheckpointList](ctx, s.transport, call{
		method: http.MethodGet, path: workloadPath(workloadID, "/checkpoints"), safe: true,
	}, options)
}

// Download opens what the handler saved, JSON or bytes as its Encoding says, for you to read and to close. The opening is
// tried again as a Get is; what breaks in the middle of the reading is a [*ConnectionError] of Read, and the end comes as
// io.EOF only when all of it was there. It lasts as long as the context, and breaks when nothing comes for the time that
// one try may take.
func (s *CheckpointsService) Download(ctx context.Context, workloadID string, sequence int, options ...CallOption) (io.ReadCloser, error) {
	wanted := call{method: http.MethodGet, path: checkpointPath(workloadID, sequence), safe: true}
	var found *stream
	err := s.transport.repeat(ctx, wanted, func() error {
		var err error
		found, err = s.transport.open(ctx, wanted, "*/*", s.transport.timeout, options)
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Pin keeps a checkpoint, however many come after it. ErrConflict: as many as a customer may pin are pinned.
func (s *CheckpointsService) Pin(ctx context.Context, workloadID string, sequence int, options ...CallOption) (*Checkpoint, error) {
	return send[Checkpoint](ctx, s.transport, call{
		method: http.MethodPut, path: pinPath(workloadID, sequence), safe: true,
	}, options)
}

// Unpin keeps a checkpoint no longer than others.
func (s *CheckpointsService) Unpin(ctx context.Context, workloadID string, sequence int, options ...CallOption) (*Checkpoint, error) {
	return send[Checkpoint](ctx, s.transport, call{
		method: http.MethodDelete, path: pinPath(workloadID, sequence), safe: true,
	}, options)
}

func checkpointPath(workloadID string, sequence int) string {
	return workloadPath(workloadID, fmt.Sprintf("/checkpoints/%d", sequence))
}

func pinPath(workloadID string, sequence int) string {
	return checkpointPath(workloadID, sequence) + "/pin"
}
