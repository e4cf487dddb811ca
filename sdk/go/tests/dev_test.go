package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	niyanta "github.com/niyanta/niyanta-go-sdk"
)

// dev is a `niyanta dev` of this checkout, with a data directory and ports of its own.
type dev struct {
	// folder has .niyanta in it.
	folder string
	// credentials is what it wrote for its clients.
	credentials struct {
		BaseURL     string `json:"base_url"`
		GRPCTarget  string `json:"grpc_target"`
		APIKey      string `json:"api_key"`
		AdminAPIKey string `json:"admin_api_key"`
	}
}

// startDev starts it with what the arguments add, and ends it with the test.
func startDev(t *testing.T, environment []string, arguments ...string) *dev {
	t.Helper()
	d := &dev{folder: t.TempDir()}
	log, err := os.Create(filepath.Join(d.folder, "dev.log"))
	if err != nil {
		t.Fatal(err)
	}
	command := python(append([]string{
		"-m", "niyanta.cli.main", "dev", "--port", "0", "--grpc-port", "0", "--data-dir", filepath.Join(d.folder, ".niyanta"),
	}, arguments...)...)
	command.Dir = filepath.Join(root(), "sdk", "go", "tests") // the app is there
	command.Env = append(withoutOurs(os.Environ()), append(environment, "PYTHONUNBUFFERED=1")...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		t.Fatalf("%v: run `make setup` first", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() { end(t, command, ended) })
	for deadline := time.Now().Add(90 * time.Second); !strings.Contains(d.log(), "is ready at"); {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("niyanta dev ended: %v\n%s", err, d.log())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("niyanta dev isn't ready\n%s", d.log())
		}
	}
	d.read(t, "credentials.json", &d.credentials)
	return d
}

func end(t *testing.T, command *exec.Cmd, ended <-chan error) {
	_ = command.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		t.Error("niyanta dev didn't stop")
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		<-ended
	}
}

// root is the checkout.
func root() string {
	folder, err := filepath.Abs("../../..")
	if err != nil {
		panic(err)
	}
	return folder
}

func python(arguments ...string) *exec.Cmd {
	return exec.Command(filepath.Join(root(), ".venv", "bin", "python"), arguments...)
}

// withoutOurs is the environment without what would lead to another service.
func withoutOurs(environment []string) []string {
	var found []string
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "NIYANTA_") && !strings.HasPrefix(variable, "AWS_") {
			found = append(found, variable)
		}
	}
	return found
}

func (d *dev) log() string {
	text, err := os.ReadFile(filepath.Join(d.folder, "dev.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (d *dev) read(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.folder, ".niyanta", name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (d *dev) client(options ...niyanta.Option) *niyanta.Client {
	return niyanta.NewClient(d.credentials.APIKey, append([]niyanta.Option{niyanta.WithBaseURL(d.credentials.BaseURL)}, options...)...)
}

func (d *dev) admin() *niyanta.AdminService {
	return niyanta.NewClient(d.credentials.AdminAPIKey, niyanta.WithBaseURL(d.credentials.BaseURL)).Admin
}

// pid is that of one of its processes, such as "coordinator" or "worker-1"; 0 while that can't be read.
func (d *dev) pid(name string) int {
	var pids map[string]int
	text, err := os.ReadFile(filepath.Join(d.folder, ".niyanta", "processes.json"))
	if err != nil || json.Unmarshal(text, &pids) != nil {
		return 0
	}
	return pids[name]
}

// kill ends a process as a crash would, and returns when dev has started another in its place.
func (d *dev) kill(t *testing.T, name string) {
	t.Helper()
	before := d.pid(name)
	if before == 0 {
		t.Fatalf("nothing is known of %s", name)
	}
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); d.pid(name) == before || d.pid(name) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s wasn't started again\n%s", name, d.log())
		}
	}
}

// run runs a program to its end, in the folder, with nothing about the service in its environment, and returns what
// it prints.
func (d *dev) run(t *testing.T, program string, environment ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.Command(program)
	command.Dir = d.folder
	command.Env = append(withoutOurs(os.Environ()), environment...)
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v\n%s%s\n%s", err, stdout.String(), stderr.String(), d.log())
	}
	return stdout.String()
}

// build compiles what is in a folder, or a file with the dependencies of the module in a folder.
func build(t *testing.T, folder, what string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	command := exec.Command("go", "build", "-buildvcs=false", "-o", program, what)
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return program
}

// s3 serves the video of the contract's example, and returns the environment that leads there.
func s3(t *testing.T) (environment []string, objects func() []string) {
	t.Helper()
	command := python("s3.py")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	answers := json.NewDecoder(output)
	var variables map[string]string
	if err := answers.Decode(&variables); err != nil {
		t.Fatal(err)
	}
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	var found []string
	ended := false
	stop := func() []string {
		if ended {
			return found
		}
		ended = true
		_ = input.Close()
		if err := errors.Join(answers.Decode(&found), command.Wait()); err != nil {
			t.Error(err)
		}
		return found
	}
	t.Cleanup(func() { stop() })
	return environment, stop
}
