/** The workload types that the customer may submit. */
import { get } from "../api";
import { useLoaded } from "../live";
import type { Config, Json } from "../types";

export interface KnownType {
  name: string;
  /** What its input must be, as a JSON Schema; null when anything goes. */
  schema: Json;
  config: Config | undefined;
}

export interface KnownTypes {
  types: KnownType[];
}

export async function loadTypes(stop: AbortSignal): Promise<KnownTypes> {
  const date = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);
  const [{ configs }, used] = await Promise.all([
    get<{ configs: Config[] }>("/workload-configs", undefined, stop),
    get<{ by_workload_type?: { workload_type: string }[] }>("/customer/stats", { start_date: date(29), end_date: date(0), group_by: "workload_type" }, stop),
  ]);
  const names = new Set([...configs.map((one) => one.workload_type), ...(used.by_workload_type ?? []).map((one) => one.workload_type)]);
  const types = [...names].sort().map((name) => {
    const config = configs.find((one) => one.workload_type === name);
    return { name, schema: config?.input_schema ?? null, config };
  });
  return { types };
}

export function useTypes(): string[] {
  return useLoaded("types", loadTypes).data?.types.map((one) => one.name) ?? [];
}
