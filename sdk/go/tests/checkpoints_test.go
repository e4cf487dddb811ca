package tests

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"testing"

	niyanta "github.com/niyanta/niyanta-go-sdk"
)

func checkpoints(t *testing.T, d *dev) {
	ctx, client := limited(t), d.client()
	id := submitCount(ctx, t, client, 300)
	untilCheckpoint(ctx, t, client, id, 5)
	must(client.Workloads.Pause(ctx, id))(t)
	kept := must(client.Checkpoints.List(ctx, id))(t).Checkpoints
	oldest := kept[len(kept)-1]
	pinned := must(client.Checkpoints.Pin(ctx, id, oldest.Sequence))(t)
	if len(kept) < 2 || !pinned.Pinned || pinned.Encoding != "json" {
		t.Errorf("%+v", pinned)
	}
	saved := download(ctx, t, client, id, oldest)
	if _, err := client.Checkpoints.Download(ctx, id, 1_000_000); !errors.Is(err, niyanta.ErrNotFound) {
		t.Error(err)
	}

	changed := must(client.Workloads.Update(ctx, id, &niyanta.UpdateWorkloadRequest{
		TimeoutSeconds: niyanta.Value(600), AffinityRules: niyanta.Value(niyanta.AffinityRules{Soft: &niyanta.AffinityConstraint{WorkerID: "w9"}}),
	}))(t)
	if *changed.TimeoutSeconds != 600 || changed.AffinityRules.Soft.WorkerID != "w9" {
		t.Errorf("%+v", changed)
	}
	changed = must(client.Workloads.Update(ctx, id, &niyanta.UpdateWorkloadRequest{
		TimeoutSeconds: niyanta.Null[int](), AffinityRules: niyanta.Null[niyanta.AffinityRules](), Version: &changed.Version,
	}))(t)
	if changed.TimeoutSeconds != nil || changed.AffinityRules != nil {
		t.Errorf("%+v", changed)
	}

	must(client.Workloads.ResumeFrom(ctx, id, oldest.Sequence))(t)
	final := must(client.Workloads.WaitForCompletion(ctx, id))(t)
	var result counted
	if err := final.ResultData.Decode(&result); err != nil || result.BegunAt != saved || result.Number != 300 {
		t.Error(result, saved, err)
	}
	if left := must(client.Checkpoints.Unpin(ctx, id, oldest.Sequence))(t); left.Pinned {
		t.Errorf("%+v", left)
	}
}

// download reads a checkpoint of count, holds it against what is known of it, and returns the number that it holds.
func download(ctx context.Context, t *testing.T, client *niyanta.Client, id string, checkpoint *niyanta.Checkpoint) int {
	t.Helper()
	found := must(client.Checkpoints.Download(ctx, id, checkpoint.Sequence))(t)
	defer found.Close()
	text := must(io.ReadAll(found))(t)
	sum := sha256.Sum256(text)
	if int64(len(text)) != checkpoint.SizeBytes || hex.EncodeToString(sum[:]) != checkpoint.SHA256 {
		t.Errorf("%q isn't %+v", text, checkpoint)
	}
	var read struct{ Number int }
	if err := json.Unmarshal(text, &read); err != nil || read.Number == 0 {
		t.Errorf("%q: %v", text, err)
	}
	return read.Number
}
