/** The workload types that the customer may submit. */
import { get } from "../api";
import { useLoaded } from "../live";
import type { Config, Json, Pagination } from "../types";

export interface KnownType {
  name: string;
  isServed: boolean;
  /** What its input must be, as a JSON Schema; null when anything goes. */
  schema: Json;
  config: Config | undefined;
}

export interface KnownTypes {
  types: KnownType[];
}

interface Answer {
  workload_types: { workload_type: string; is_served: boolean; input_schemas: Json[]; config_schema: Json }[];
}

export async function loadTypes(stop: AbortSignal): Promise<KnownTypes> {
  const [{ workload_types }, configs] = await Promise.all([get<Answer>("/workload-types", undefined, stop), allConfigs(stop)]);
  const types = workload_types.map((one) => ({
    name: one.workload_type,
    isServed: one.is_served,
    schema: one.config_schema ?? one.input_schemas[0] ?? null,
    config: configs.find((config) => config.workload_type === one.workload_type),
  }));
  return { types };
}

async function allConfigs(stop: AbortSignal): Promise<Config[]> {
  const found: Config[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page: { configs: Config[]; pagination: Pagination } = await get("/workload-configs", { cursor }, stop);
    found.push(...page.configs);
    cursor = page.pagination.next_cursor ?? null;
  }
  return found;
}

export function useTypes(): string[] {
  return useLoaded("types", loadTypes).data?.types.map((one) => one.name) ?? [];
}
