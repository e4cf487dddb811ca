package main

import (
    "context"
    "github.com/yourusername/niyanta-go-sdk"
)

func main() {
    client := niyanta.NewClient("nyt_cust_abc123_...")

    // Submit workload
    workload, err := client.Workloads.Submit(context.Background(), &niyanta.SubmitWorkloadRequest{
        WorkloadType: "video_transcoding",
        InputParams: map[string]interface{}{
            "video_url": "s3://input/video123.mp4",
        },
    })
    if err != nil {
        panic(err)
    }

    // Wait for completion
    finalWorkload, err := client.Workloads.WaitForCompletion(context.Background(), workload.ID)
    if err != nil {
        panic(err)
    }

    fmt.Println("Result:", finalWorkload.ResultData)
}
