// Package niyanta is the client of Niyanta, which runs long workloads for many customers on one pool of machines and
// loses none of them.
//
// A [Client] submits workloads, watches them, and gives their results:
//
//	client := niyanta.NewClient("") // finds address and key by itself, see below
//
//	workload, err := client.Workloads.Submit(ctx, &niyanta.SubmitWorkloadRequest{
//		WorkloadType: "video_transcoding",
//		InputParams:  map[string]any{"video_url": "s3://input/video123.mp4"},
//	})
//	if err != nil {
//		return err
//	}
//	final, err := client.Workloads.WaitForCompletion(ctx, workload.ID)
//	if err != nil {
//		return err
//	}
//	fmt.Println("Result:", final.ResultData)
//
// # Address and key
//
// The API key is the one given to [NewClient], else NIYANTA_API_KEY of the environment, else that of the nearest
// .niyanta/credentials.json in the working directory or above it, which `niyanta dev` writes. The address is that of
// [WithBaseURL], else NIYANTA_URL, else the file's. A key that ends in "..." is a placeholder, as the documentation
// prints it, and counts as not given. [Client.Admin] needs a key with the admin role, and takes the file's when no
// other is given. To a service that asks for a certificate it shows the one that NIYANTA_CLIENT_CERT and
// NIYANTA_CLIENT_KEY name, files in PEM, unless [WithTLSConfig] or [WithHTTPClient] says otherwise.
//
// # Errors
//
// An answer that isn't a success is an [*APIError]; errors.Is tells its kind ([ErrNotFound], [ErrInvalidState], …).
// A service that can't be reached is a [*ConnectionError]. [WorkloadsService.WaitForCompletion] returns a
// [*FailedError] or a [*CancelledError] for a workload that ended so. Nothing that this package returns has the key in it.
//
// # Contexts and time-outs
//
// Every call ends when its context does, with an error for which errors.Is(err, ctx.Err()) holds. One try of a call
// takes at most 30 seconds ([WithTimeout]). The context bounds the whole of it, with all tries and pauses; a call that
// can't be tried again before the context's deadline returns at once what it knows.
//
// # Retries
//
// A call is tried again up to 6 times ([WithMaxRetries]) with exponential back-off and full jitter, never sooner than
// Retry-After says: after 429 always, after 502, 503, 504 and broken links where a second try can't do harm. That is so
// for all that reads, for submissions (each has an idempotency key, made when you give none), for what sets a state,
// and for removals. Not so are Cancel, Pause, Resume and what creates something without such a key.
//
// # Newer services
//
// Fields that this package doesn't know are ignored; a status or a type of update that it doesn't know is handed on as it
// is.
package niyanta
