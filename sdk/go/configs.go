package niyanta

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// ConfigsService sets workload types up.
type ConfigsService struct{ transport *transport }

// ResourceLimits is what one attempt may use.
type ResourceLimits struct {
	CPUCores float64 `json:"cpu_cores"`
	MemoryMB int     `json:"memory_mb"`
	DiskMB   int     `json:"disk_mb"`
}

// ResourceLimitsRequest sets what one attempt may use; nil leaves what is, or the default.
type ResourceLimitsRequest struct {
	CPUCores *float64 `json:"cpu_cores,omitempty"`
	MemoryMB *int     `json:"memory_mb,omitempty"`
	DiskMB   *int     `json:"disk_mb,omitempty"`
}

// Config is the settings of one workload type.
type Config struct {
	ID           string `json:"config_id"`
	WorkloadType string `json:"workload_type"`
	Description  string `json:"description"`
	// ConfigJSON is what handlers see as their config.
	ConfigJSON     Object         `json:"config_json"`
	ResourceLimits ResourceLimits `json:"resource_limits"`
	// CheckpointIntervalSec is how often a checkpoint is due.
	CheckpointIntervalSec int `json:"checkpoint_interval_sec"`
	// MaxRetries is how often a workload is tried again before it fails.
	MaxRetries int `json:"max_retries"`
	// TimeoutSeconds bounds the running time of one attempt; nil is no bound.
	TimeoutSeconds *int `json:"timeout_seconds"`
	// InputSchema is the JSON Schema that each submission's input must fit; nil when there is none.
	InputSchema Object    `json:"input_schema"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// CreateConfigRequest sets a workload type up; all but the type may be left out.
type CreateConfigRequest struct {
	WorkloadType string  `json:"workload_type"`
	Description  *string `json:"description,omitempty"`
	// ConfigJSON is what handlers see as their config.
	ConfigJSON     Object                 `json:"config_json,omitempty"`
	ResourceLimits *ResourceLimitsRequest `json:"resource_limits,omitempty"`
	// CheckpointIntervalSec is how often a checkpoint is due; 300 seconds when nil.
	CheckpointIntervalSec *int `json:"checkpoint_interval_sec,omitempty"`
	// MaxRetries is how often a workload is tried again before it fails; 3 when nil.
	MaxRetries *int `json:"max_retries,omitempty"`
	// TimeoutSeconds bounds the running time of one attempt; no bound when nil.
	TimeoutSeconds *int `json:"timeout_seconds,omitempty"`
	// InputSchema is the JSON Schema that each submission's input must fit.
	InputSchema Object `json:"input_schema,omitempty"`
}

// UpdateConfigRequest changes what it gives and leaves the rest. The type itself can't be changed; WorkloadType, when
// given, must be the one that the config has.
type UpdateConfigRequest struct {
	WorkloadType          *string                `json:"workload_type,omitempty"`
	Description           *string                `json:"description,omitempty"`
	ConfigJSON            *Object                `json:"config_json,omitempty"`
	ResourceLimits        *ResourceLimitsRequest `json:"resource_limits,omitempty"`
	CheckpointIntervalSec *int                   `json:"checkpoint_interval_sec,omitempty"`
	MaxRetries            *int                   `json:"max_retries,omitempty"`
	TimeoutSeconds        *int                   `json:"timeout_seconds,omitempty"`
	InputSchema           *Object                `json:"input_schema,omitempty"`
}

// CreatedConfig is the answer to the creation of a config.
type CreatedConfig struct {
	ID           string    `json:"config_id"`
	WorkloadType string    `json:"workload_type"`
	CreatedAt    time.Time `json:"created_at"`
}

// ListConfigsRequest says which page of the configs is wanted.
type ListConfigsRequest struct {
	// Limit is how many a page has at most.
	Limit int `query:"limit"`
	// Cursor is that of the page before.
	Cursor string `query:"cursor"`
}

// ConfigsPage is one page of configs.
type ConfigsPage struct {
	Configs    []*Config  `json:"configs"`
	Pagination Pagination `json:"pagination"`
}

// Create sets a workload type up. ErrConflict: it has a config already.
func (s *ConfigsService) Create(ctx context.Context, request *CreateConfigRequest, options ...CallOption) (*CreatedConfig, error) {
	return send[CreatedConfig](ctx, s.transport, call{
		method: http.MethodPost, path: "/workload-configs", body: request,
	}, options)
}

// List returns one page of configs; request may be nil.
func (s *ConfigsService) List(ctx context.Context, request *ListConfigsRequest, options ...CallOption) (*ConfigsPage, error) {
	return send[ConfigsPage](ctx, s.transport, call{
		method: http.MethodGet, path: "/workload-configs", query: queryOf(request), safe: true,
	}, options)
}

// Iterate yields all configs, page by page; request may be nil.
func (s *ConfigsService) Iterate(ctx context.Context, request *ListConfigsRequest, options ...CallOption) iter.Seq2[*Config, error] {
	wanted := copied(request)
	return iteratePages(ctx, wanted.Cursor, func(cursor string) ([]*Config, Pagination, error) {
		page := wanted
		page.Cursor = cursor
		found, err := s.List(ctx, &page, options...)
		if err != nil {
			return nil, Pagination{}, err
		}
		return found.Configs, found.Pagination, nil
	})
}

// Get returns one config.
func (s *ConfigsService) Get(ctx context.Context, configID string, options ...CallOption) (*Config, error) {
	return send[Config](ctx, s.transport, call{
		method: http.MethodGet, path: "/workload-configs/" + quoted(configID), safe: true,
	}, options)
}

// Update changes the fields that are given. Workloads that have begun keep what they began with.
func (s *ConfigsService) Update(ctx context.Context, configID string, request *UpdateConfigRequest, options ...CallOption) (*Config, error) {
	return send[Config](ctx, s.transport, call{
		method: http.MethodPut, path: "/workload-configs/" + quoted(configID), body: request, safe: true,
	}, options)
}

// Delete removes a config. ErrConflict: there are workloads of its type.
func (s *ConfigsService) Delete(ctx context.Context, configID string, options ...CallOption) error {
	return s.transport.call(ctx, call{
		method: http.MethodDelete, path: "/workload-configs/" + quoted(configID), safe: true,
	}, options, nil)
}

// WorkloadType is a workload type that can be submitted.
type WorkloadType struct {
	WorkloadType string `json:"workload_type"`
	// IsServed says whether a live worker serves it; else a submission waits for one.
	IsServed bool `json:"is_served"`
	// InputSchemas are those of the live handlers: an input must fit one of them. Empty: any input will do.
	InputSchemas []Object `json:"input_schemas"`
	// ConfigSchema is that of your config of the type, which an input must fit besides; nil when there is none.
	ConfigSchema Object `json:"config_schema"`
}

// WorkloadTypes is what can be submitted at this moment, by name.
type WorkloadTypes struct {
	WorkloadTypes []*WorkloadType `json:"workload_types"`
}

// Types returns what live workers serve, and what has a config.
func (s *ConfigsService) Types(ctx context.Context, options ...CallOption) (*WorkloadTypes, error) {
	return send[WorkloadTypes](ctx, s.transport, call{
		method: http.MethodGet, path: "/workload-types", safe: true,
	}, options)
}
